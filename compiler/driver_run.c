/* driver_run.c -- the commands that run a program: train, build, eval, predict; by a compiled
 * trainer, or, with --eval, by the reference evaluator in this process. */
#include "describe.h"
#include "driver.h"
#include "kernel.h"
#include "library.h"
#include "reference.h"
#include "trainer.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* "examples/mnist_mlp", or "." */
static const char *source_folder(Driver *driver)
{
    const char *path = driver->arguments.data[0], *slash = strrchr(path, '/');
    if (!slash) return ".";
    return arena_printf(driver->arena, "%.*s", slash == path ? 1 : (int)(slash - path), path);
}

/* --- by the reference evaluator
 * ------------------------------------------------------------------- */

static int run_reference(Driver *driver, Program *program)
{
    DescribeOptions describe = {driver_stem(driver), source_folder(driver), true};
    const NndProgram *described = program_describe(program, &describe);
    if (!described) return STATUS_WRONG;
    const Options *o = &driver->options;
    NndOptions options = {.verb = driver->command,
                          .output = o->output,
                          .weights = o->weights,
                          .input = o->input,
                          .only = o->only,
                          .trace = o->trace,
                          .seed = o->seed,
                          .threads = o->threads,
                          .examples = o->examples,
                          .quiet = o->quiet,
                          .json = o->json,
                          .resume = o->resume};
    if (driver->arguments.len > 1) options.name = driver->arguments.data[1];
    return reference_run(program, described, &options);
}

/* --- by a compiled trainer
 * ---------------------------------------------------------------------------- */

bool trainer_make(Driver *driver, Program *program, const DescribeOptions *describe,
                  const char *source, const char *executable)
{
    Runtime runtime;
    Options options = driver->options;
    const NndProgram *described = program_describe(program, describe);
    if (!described) return false;
    bool installed = runtime_find(driver, &runtime);
    if (!installed && executable) options.amalgamate = true;
    const char *text = trainer_text(program, described, &options);
    if (diag_errors(driver->context) || !file_write(driver, source, text)) return false;
    if (!executable) return true;
    return trainer_compile(driver, options.amalgamate ? NULL : &runtime, described, source,
                           executable);
}

typedef VEC(const char *) Words;

static void word_add(Driver *driver, Words *words, const char *word)
{
    vec_push(driver->arena, words, arena_strdup(driver->arena, word));
}

static void option_add(Driver *driver, Words *words, const char *flag, const char *value)
{
    if (!value) return;
    word_add(driver, words, flag);
    word_add(driver, words, value);
}

/* The trainer's command line. */
static Words trainer_words(Driver *driver, const char *executable)
{
    Words words = {0};
    const Options *o = &driver->options;
    word_add(driver, &words,
             strchr(executable, '/') ? executable
                                     : arena_printf(driver->arena, "./%s", executable));
    word_add(driver, &words, driver->command);
    if (driver->arguments.len > 1) word_add(driver, &words, driver->arguments.data[1]);
    option_add(driver, &words, "-o", o->output);
    option_add(driver, &words, "--weights", o->weights);
    option_add(driver, &words, "--input", o->input);
    option_add(driver, &words, "--only", o->only);
    option_add(driver, &words, "--trace", o->trace);
    if (o->seed >= 0)
        option_add(driver, &words, "--seed", arena_printf(driver->arena, "%d", o->seed));
    if (o->threads)
        option_add(driver, &words, "--threads", arena_printf(driver->arena, "%d", o->threads));
    if (o->examples)
        option_add(driver, &words, "--examples", arena_printf(driver->arena, "%d", o->examples));
    if (o->resume) word_add(driver, &words, "--resume");
    if (o->quiet) word_add(driver, &words, "--quiet");
    if (o->json) word_add(driver, &words, "--json");
    vec_push(driver->arena, &words, NULL);
    return words;
}

int trainer_run(const char *const *words)
{
    int status;
    fflush(NULL);
    void (*before)(int) = signal(SIGINT, SIG_IGN);
    pid_t child = fork();
    if (child == 0) {
        signal(SIGINT, before);
        execv(words[0], (char **)(uintptr_t)words);
        fprintf(stderr, "nndc: error: %s: %s\n", words[0], strerror(errno));
        _exit(STATUS_INTERNAL);
    }
    if (child < 0) die("cannot start %s: %s", words[0], strerror(errno));
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR) die("cannot wait for %s", words[0]);
    signal(SIGINT, before);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static bool file_exists(const char *path)
{
    return access(path, F_OK) == 0;
}

/* How much memory what was made takes. */
static void memory_print(const Program *program)
{
    if (program->memory) printf("memory: %s\n", program->memory);
    if (program->again) printf("to fit, %s\n", program->again);
}

/* eval and predict: the program is made in a folder that is removed afterwards. */
static int run_temporary(Driver *driver, Program *program, const DescribeOptions *describe)
{
    const char *folder = folder_temporary(driver);
    const char *source = arena_printf(driver->arena, "%s/trainer.c", folder);
    const char *executable = arena_printf(driver->arena, "%s/trainer", folder);
    int status = STATUS_WRONG;
    if (trainer_make(driver, program, describe, source, executable))
        status = trainer_run(trainer_words(driver, executable).data);
    folder_remove(driver, folder);
    return status;
}

/* train: the program stays in the run folder, and replaces this process, so that signals are its
 * own. */
static int run_training(Driver *driver, Program *program, const DescribeOptions *describe)
{
    const char *folder = driver->options.output;
    if (!folder) folder = arena_printf(driver->arena, "%s.run", driver_stem(driver));
    bool made = !file_exists(folder);
    if (!folder_make(driver, folder)) return STATUS_WRONG;
    const char *source = arena_printf(driver->arena, "%s/trainer.c", folder);
    const char *executable = arena_printf(driver->arena, "%s/trainer", folder);
    if (!trainer_make(driver, program, describe, source, executable)) {
        if (made) rmdir(folder);
        return STATUS_WRONG;
    }
    if (program->again && !driver->options.quiet && !driver->options.json) printf("to fit, %s\n", program->again);
    Words words = trainer_words(driver, executable);
    fflush(NULL);
    execv(words.data[0], (char **)(uintptr_t)words.data);
    die("cannot start %s: %s", words.data[0], strerror(errno));
}

/* Whether every train block has data of its own; reports those that a host program feeds. */
static bool has_data(Driver *driver, const Program *program)
{
    for (int i = 0; i < program->trains.len; i++) {
        const Train *train = program->trains.data[i];
        if (!train->fed) continue;
        diag_error(driver->context, train->span,
                   "the train block %s has no data of its own: a host program feeds %s", train->name,
                   train->fed->name);
        diag_hint(driver->context,
                  "`nndc build --lib %s -o NAME` makes a C library, whose function NAME_%s_step() the "
                  "host program calls",
                  program->path, train->name);
    }
    return !diag_errors(driver->context);
}

/* Whether what is compiled can run here. */
static bool isa_here(Driver *driver)
{
    NndIsa isa = options_isa(&driver->options);
    if (nnd_isa_here(isa)) return true;
    diag_error(driver->context, NO_SPAN, "this machine has no %s", nnd_isa_info(isa)->name);
    diag_hint(driver->context, "the best that it has is %s; `nndc build` makes programs for others",
              nnd_isa_info(NND_ISA_NATIVE)->name);
    return false;
}

static int run(Driver *driver)
{
    Program *program = driver_program(driver);
    if (!program) return STATUS_WRONG;
    bool train = !strcmp(driver->command, "train");
    if (train && !program->trains.len) {
        diag_error(driver->context, NO_SPAN, "%s has no train block", program->path);
        return STATUS_WRONG;
    }
    if (strcmp(driver->command, "predict") != 0 && !has_data(driver, program)) return STATUS_WRONG;
    diag_print(driver->context, stderr); /* warnings, before it runs */
    if (driver->options.eval) return run_reference(driver, program);
    DescribeOptions describe = {driver_stem(driver), source_folder(driver),
                                !strcmp(driver->options.real, "f64")};
    if (!isa_here(driver)) return STATUS_WRONG;
    if (train) return run_training(driver, program, &describe);
    return run_temporary(driver, program, &describe);
}

int command_train(Driver *driver)
{
    return run(driver);
}

int command_eval(Driver *driver)
{
    return run(driver);
}

int command_predict(Driver *driver)
{
    return run(driver);
}

/* --- build
 * ---------------------------------------------------------------------------------------------- */

/* The folder as an absolute path, for a program that may be called from anywhere. */
static const char *absolute(Driver *driver, const char *path)
{
    char here[4096];
    if (*path == '/' || !getcwd(here, sizeof here)) return path;
    return !strcmp(path, ".") ? arena_strdup(driver->arena, here)
                              : arena_printf(driver->arena, "%s/%s", here, path);
}

/* -o PATH: the files are PATH.c and others beside it; PATH.c: only sources are wanted. */
static const char *output_stem(Driver *driver, bool *source_only)
{
    const char *output = driver->options.output ? driver->options.output : driver_stem(driver);
    size_t len = strlen(output);
    *source_only = len > 2 && !strcmp(output + len - 2, ".c");
    return *source_only ? arena_printf(driver->arena, "%.*s", (int)len - 2, output) : output;
}

static int build_library(Driver *driver, Program *program)
{
    bool source_only;
    const char *stem = output_stem(driver, &source_only), *slash = strrchr(stem, '/');
    const char *name = slash ? slash + 1 : stem;
    const char *folder = arena_printf(driver->arena, "%.*s", (int)(name - stem), stem);
    DescribeOptions describe = {name, "", !strcmp(driver->options.real, "f64")};
    if (!library_prepare(program, name)) return STATUS_WRONG;
    const NndProgram *described = program_describe(program, &describe);
    if (!described) return STATUS_WRONG;
    LibraryText text = library_text(program, described, name, &driver->options);
    const char *header = arena_printf(driver->arena, "%s.h", stem);
    const char *source = arena_printf(driver->arena, "%s.c", stem);
    const char *archive = arena_printf(driver->arena, "%slib%s.a", folder, name);
    const char *shared = arena_printf(driver->arena, "%slib%s.so", folder, name);
    if (diag_errors(driver->context) || !file_write(driver, header, text.header) ||
        !file_write(driver, source, text.source) ||
        (!source_only && !library_compile(driver, source, archive, shared)))
        return STATUS_WRONG;
    if (!driver->options.quiet)
        printf(source_only ? "%s, %s\n" : "%s, %s, %s, %s\n", header, source, archive, shared);
    if (!driver->options.quiet) memory_print(program);
    return STATUS_DONE;
}

int command_build(Driver *driver)
{
    Program *program = driver_program(driver);
    if (!program || (!driver->options.lib && !has_data(driver, program))) return STATUS_WRONG;
    diag_print(driver->context, stderr);
    if (driver->options.lib) return build_library(driver, program);
    bool source_only;
    const char *stem = output_stem(driver, &source_only);
    const char *source = arena_printf(driver->arena, "%s.c", stem);
    const char *slash = strrchr(stem, '/');
    const char *folder = source_folder(driver);
    DescribeOptions describe = {slash ? slash + 1 : stem,
                                source_only ? folder : absolute(driver, folder),
                                !strcmp(driver->options.real, "f64")};
    bool good = trainer_make(driver, program, &describe, source, source_only ? NULL : stem);
    if (good && !driver->options.quiet)
        printf("%s%s%s\n", source, source_only ? "" : ", ", source_only ? "" : stem);
    if (good && !driver->options.quiet) memory_print(program);
    return good ? STATUS_DONE : STATUS_WRONG;
}
