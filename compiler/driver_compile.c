/* driver_compile.c -- files and processes: writes a trainer's source, finds the runtime, calls the
 * C compiler. The runtime is looked for beside the executable, as `make` leaves it; where it is
 * not, its sources, which travel inside the compiler, become part of the trainer's text
 * (--amalgamate). */
#include "driver.h"
#include "kernel.h"
#include "libraries.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

bool file_write(Driver *driver, const char *path, const char *text)
{
    const char *temporary = arena_printf(driver->arena, "%s.tmp%ld", path, (long)getpid());
    FILE *file = fopen(temporary, "w");
    bool good = file != NULL;
    if (good) good = fputs(text, file) != EOF;
    if (file && fclose(file)) good = false;
    if (good) good = rename(temporary, path) == 0;
    if (good) return true;
    diag_error(driver->context, NO_SPAN, "%s cannot be written: %s", path, strerror(errno));
    if (file) remove(temporary);
    return false;
}

bool folder_make(Driver *driver, const char *path)
{
    struct stat status;
    if (mkdir(path, 0777) == 0 || (stat(path, &status) == 0 && S_ISDIR(status.st_mode)))
        return true;
    diag_error(driver->context, NO_SPAN, "the folder %s cannot be made: %s", path, strerror(errno));
    return false;
}

const char *folder_temporary(Driver *driver)
{
    const char *base = getenv("TMPDIR");
    char *folder = arena_printf(driver->arena, "%s/nndc-XXXXXX", base && *base ? base : "/tmp");
    if (!mkdtemp(folder)) die("cannot make a folder %s: %s", folder, strerror(errno));
    return folder;
}

void folder_remove(Driver *driver, const char *path)
{
    DIR *folder = opendir(path);
    for (struct dirent *entry; folder && (entry = readdir(folder)) != NULL;) {
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..")) continue;
        const char *inside = arena_printf(driver->arena, "%s/%s", path, entry->d_name);
        if (remove(inside)) folder_remove(driver, inside);
    }
    if (folder) closedir(folder);
    rmdir(path);
}

/* The folder of this executable, with a slash, or NULL. */
static const char *self_folder(Driver *driver)
{
    char path[4096];
    ssize_t len = readlink("/proc/self/exe", path, sizeof path - 1);
    if (len > 0)
        path[len] = '\0';
    else if (strchr(driver->self, '/') && strlen(driver->self) < sizeof path)
        strcpy(path, driver->self);
    else
        return NULL;
    *(strrchr(path, '/') + 1) = '\0';
    return arena_strdup(driver->arena, path);
}

bool runtime_find(Driver *driver, Runtime *runtime)
{
    static const char *const places[][2] = {{"", "../rt"}, {"../lib/nnd", "../lib/nnd"}};
    const char *self = self_folder(driver);
    const char *name = !strcmp(driver->options.blas, "none") ? "libnnd_rt.a" : "libnnd_rt_blas.a";
    for (int i = 0; self && i < 2; i++) {
        runtime->archive = arena_printf(driver->arena, "%s%s%s%s", self, places[i][0],
                                        *places[i][0] ? "/" : "", name);
        runtime->headers = arena_printf(driver->arena, "%s%s", self, places[i][1]);
        const char *header = arena_printf(driver->arena, "%s/nnd_rt.h", runtime->headers);
        if (access(runtime->archive, R_OK) == 0 && access(header, R_OK) == 0) return true;
    }
    return false;
}

typedef VEC(char *) Words;

static void words_add(Driver *driver, Words *words, const char *text)
{
    while (*(text += strspn(text, " \t"))) {
        size_t n = strcspn(text, " \t");
        vec_push(driver->arena, words, arena_printf(driver->arena, "%.*s", (int)n, text));
        text += n;
    }
}

static void word_add(Driver *driver, Words *words, const char *word)
{
    vec_push(driver->arena, words, arena_strdup(driver->arena, word));
}

/* Whether a command can be found on the PATH. */
static bool command_exists(Driver *driver, const char *name)
{
    const char *path = getenv("PATH");
    for (const char *at = path ? path : "/usr/bin"; *at; at += *at == ':') {
        size_t n = strcspn(at, ":");
        if (access(arena_printf(driver->arena, "%.*s/%s", (int)n, at, name), X_OK) == 0)
            return true;
        at += n;
    }
    return false;
}

static const char *compiler_command(Driver *driver)
{
    static const char *const usual[] = {"gcc", "clang", "cc"};
    const char *given = driver->options.cc ? driver->options.cc : getenv("CC");
    if (given && *given) return given;
    for (int i = 0; i < 3; i++)
        if (command_exists(driver, usual[i])) return usual[i];
    diag_error(driver->context, NO_SPAN, "there is no C compiler: gcc, clang or cc is wanted");
    diag_hint(driver->context, "`--cc COMMAND` names another; `--eval` needs none, but is slow");
    return NULL;
}

/* Runs a command; what it writes to standard error goes to a file. Returns its exit status. */
static int command_spawn(Driver *driver, char **words, const char *log)
{
    int status;
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        if (!freopen(log, "w", stderr)) _exit(127);
        execvp(words[0], words);
        fprintf(stderr, "%s: %s\n", words[0], strerror(errno));
        fflush(stderr);
        _exit(127);
    }
    if (child < 0) die("cannot start %s: %s", words[0], strerror(errno));
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR) die("cannot wait for %s", words[0]);
    (void)driver;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

static void log_show(const char *path)
{
    char line[1000];
    FILE *log = fopen(path, "r");
    while (log && fgets(line, sizeof line, log))
        fputs(line, stderr);
    if (log) fclose(log);
}

/* The C compiler with the flags that all emitted code is compiled by; false without a compiler. What is
 * vector code says so itself (SIMD, rt/simd.h); -fno-tree-vectorize leaves it at that, and clang knows the
 * flag, too, if it stands behind -O2. Clang 14 makes wrong code where it looks for more: of rows of four
 * that are scaled in place and then read, it reads the old values (tests/num/realnvp). */
static bool words_compiler(Driver *driver, Words *words)
{
    const char *command = compiler_command(driver);
    if (!command) return false;
    words_add(driver, words, command);
    words_add(driver, words,
              "-std=c11 -D_POSIX_C_SOURCE=200809L -pthread -fopenmp-simd -ffp-contract=off "
              "-fno-math-errno -fno-trapping-math");
    NndIsa isa = options_isa(&driver->options);
    const NndIsaInfo *info = nnd_isa_info(isa);
    words_add(driver, words, isa == NND_ISA_NATIVE ? info->native : info->flags);
    words_add(driver, words, driver->options.optimize > 0 ? "-O2 -fno-tree-vectorize" : "-O0");
    return true;
}

/* Runs a command that writes a file, `output`, which is one of its words: all of it or nothing. What
 * a failed command has printed is shown. Returns its exit status. */
static int words_make(Driver *driver, Words *words, const char *output)
{
    char *temporary = arena_printf(driver->arena, "%s.tmp%ld", output, (long)getpid());
    const char *log = arena_printf(driver->arena, "%s.log%ld", output, (long)getpid());
    for (int i = 0; i < words->len; i++)
        if (!strcmp(words->data[i], output)) words->data[i] = temporary;
    vec_push(driver->arena, words, NULL);
    int status = command_spawn(driver, words->data, log);
    if (status == 0 && rename(temporary, output) != 0) status = 1;
    if (status != 0) {
        log_show(log);
        remove(temporary);
    }
    remove(log);
    return status;
}

static bool compile_failed(Driver *driver, const char *command, const char *source, int status)
{
    diag_error(driver->context, NO_SPAN, "`%s` could not compile %s", command, source);
    if (status == 127)
        diag_hint(driver->context, "`--cc COMMAND` or $CC names another C compiler");
    else if (!nnd_isa_here(options_isa(&driver->options)))
        diag_hint(driver->context, "is that a compiler for %s? `--cc COMMAND` names another",
                  nnd_isa_info(options_isa(&driver->options))->name);
    else if (strcmp(driver->options.blas, "none"))
        diag_hint(driver->context, "is OpenBLAS missing? `--blas=none` does without it");
    return false;
}

bool trainer_compile(Driver *driver, const Runtime *runtime, const NndProgram *program,
                     const char *source, const char *executable)
{
    Words words = {0};
    if (!words_compiler(driver, &words)) return false;
    if (runtime) {
        word_add(driver, &words, "-I");
        word_add(driver, &words, runtime->headers);
    }
    word_add(driver, &words, "-o");
    word_add(driver, &words, executable);
    word_add(driver, &words, source);
    for (int i = 0; i < READER_LIBRARIES; i++) {
        const ReaderLibrary *library = &reader_libraries[i];
        if (!reader_library_used(library, program)) continue;
        int folder = runtime ? (int)(strrchr(runtime->archive, '/') + 1 - runtime->archive) : 0;
        if (runtime) /* before the archive, which holds a reader that only complains */
            word_add(driver, &words, arena_printf(driver->arena, "%.*s%s", folder, runtime->archive,
                                                  library->object));
        else
            words_add(driver, &words, library->cflags);
    }
    if (runtime) word_add(driver, &words, runtime->archive);
    for (int i = 0; i < READER_LIBRARIES; i++)
        if (reader_library_used(&reader_libraries[i], program))
            words_add(driver, &words, reader_libraries[i].libs);
    if (strcmp(driver->options.blas, "none")) word_add(driver, &words, "-lopenblas");
    words_add(driver, &words, "-lz -lm");
    int status = words_make(driver, &words, executable);
    return status == 0 || compile_failed(driver, words.data[0], source, status);
}

bool library_compile(Driver *driver, const char *source, const char *archive, const char *shared)
{
    Words compile = {0}, link = {0}, pack = {0};
    const char *folder = folder_temporary(driver);
    const char *object = arena_printf(driver->arena, "%s/library.o", folder);
    int status = 1;
    if (words_compiler(driver, &compile) && words_compiler(driver, &link)) {
        words_add(driver, &compile, "-fPIC -c -o");
        word_add(driver, &compile, object);
        word_add(driver, &compile, source);
        words_add(driver, &link, "-shared -o");
        word_add(driver, &link, shared);
        word_add(driver, &link, object);
        words_add(driver, &link, "-lm");
        words_add(driver, &pack, "ar rc");
        word_add(driver, &pack, archive);
        word_add(driver, &pack, object);
        status = words_make(driver, &compile, object);
        if (!status) status = words_make(driver, &link, shared);
        if (status) compile_failed(driver, compile.data[0], source, status);
        if (!status) {
            status = words_make(driver, &pack, archive);
            if (status) diag_error(driver->context, NO_SPAN, "`ar` could not make %s", archive);
        }
    }
    folder_remove(driver, folder);
    return status == 0;
}
