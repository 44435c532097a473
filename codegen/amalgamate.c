/* amalgamate.c -- the runtime's sources, which travel inside the compiler, and an emitted program
 * as one C file. A function that is declared static needs no `static` where it is defined, so it is
 * enough to change the declarations in the runtime's headers. */
#include "amalgamate.h"
#include "embedded.h"

static const char *const headers[] = {"rt/no_zlib.h", "rt/isa.h", "rt/nnd_rt.h", "rt/scalar.h",
                                      "rt/nnd_program.h", "rt/nnd_host.h"};
enum { HEADERS = sizeof headers / sizeof *headers };

/* What a library needs; the rest is for programs with a main function, but for the last two. */
static const char *const of_hosts[] = {
    "rt/array.c", "rt/batch.c", "rt/checkpoint.c", "rt/clock.c",       "rt/decode.c", "rt/file.c",
    "rt/gemm.c",  "rt/isa.c",   "rt/json.c",       "rt/names.c",       "rt/pool.c",   "rt/safetensors.c",
    "rt/scalar.c", "rt/session.c", "rt/state.c",   "rt/stream.c",      "rt/host.c",   "rt/host_run.c"};
enum { OF_HOSTS = sizeof of_hosts / sizeof *of_hosts };

static bool part_has(RuntimePart part, const char *path)
{
    size_t n = strlen(path);
    if (strncmp(path, "rt/", 3) != 0 || strcmp(path + n - 2, ".c") != 0) return false;
    if (part == RUNTIME_PROGRAM) return strncmp(path, "rt/host", 7) != 0;
    for (int i = 0; i < OF_HOSTS; i++)
        if (!strcmp(path, of_hosts[i])) return true;
    return false;
}

/* A line of a header that begins the declaration of a function: "int nnd_error(NndError *error". */
static bool declares(const char *line, size_t n)
{
    static const char *const others[] = {"typedef ", "static ", "enum ", "struct ", "extern "};
    if (!((line[0] >= 'a' && line[0] <= 'z') || (line[0] >= 'A' && line[0] <= 'Z'))) return false;
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (!strncmp(line, others[i], strlen(others[i]))) return false;
    for (size_t i = 0; i + 4 < n; i++)
        if (!strncmp(line + i, "nnd_", 4))
            return memchr(line + i, '(', n - i) != NULL || memchr(line + i, ';', n - i) != NULL;
    return false;
}

static void add_file(StrBuf *out, const char *path, bool header);

/* Adds a text without its lines `#include "..."`: what they name is in the file already, but for
 * what is included several times (NAME_body.h), which takes their place. */
static void add(StrBuf *out, const char *text, bool header)
{
    static const char include[] = "#include \"", body[] = "_body.h\"";
    const size_t before = sizeof include - 1, behind = sizeof body - 1;
    while (*text) {
        size_t n = strcspn(text, "\n");
        size_t line = n + (text[n] == '\n');
        if (strncmp(text, include, before) != 0) {
            if (header && declares(text, n)) str_add(out, "static ");
            str_add_n(out, text, line);
        } else if (n > before + behind && !strncmp(text + n - behind, body, behind)) {
            char path[64];
            snprintf(path, sizeof path, "rt/%.*s", (int)(n - before - 1), text + before);
            add_file(out, path, header);
        }
        text += line;
    }
}

static void add_file(StrBuf *out, const char *path, bool header)
{
    for (const EmbeddedFile *file = nnd_embedded; file->path; file++)
        if (!strcmp(file->path, path)) add(out, file->text, header);
}

const char *amalgamate(Arena *arena, RuntimePart part, const char *defines, const char *text)
{
    StrBuf out = str_new(arena);
    str_add(&out, "#define _POSIX_C_SOURCE 200809L\n"
                  "#pragma GCC diagnostic ignored \"-Wunused-function\"\n");
    str_add(&out, defines);
    if (part == RUNTIME_HOST) str_add(&out, "#define NND_NO_ZLIB\n");
    str_add(&out, "#ifdef NND_NO_ZLIB\n");
    add_file(&out, headers[0], false);
    str_add(&out, "#endif\n");
    for (int h = 1; h < (part == RUNTIME_HOST ? HEADERS : HEADERS - 1); h++)
        add_file(&out, headers[h], true);
    for (const EmbeddedFile *file = nnd_embedded; file->path; file++)
        if (part_has(part, file->path)) add(&out, file->text, false);
    add_file(&out, "rt/vmath.h", false);
    if (strstr(text, "#include \"vmath_f64.h\"")) add_file(&out, "rt/vmath_f64.h", false);
    add_file(&out, "rt/simd.h", false);
    add(&out, text, false);
    return str_text(&out);
}
