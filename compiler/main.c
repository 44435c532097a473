/* main.c -- the driver. */
#include "ast.h"

static int usage(void)
{
    fputs("usage: nndc check --parse-only FILE\n", stderr);
    return 2;
}

int main(int argc, char **argv)
{
    if (argc != 4 || strcmp(argv[1], "check") || strcmp(argv[2], "--parse-only")) return usage();
    Context *context = context_new();
    const Source *source = source_read(context, argv[3], NO_SPAN);
    if (source) parse_file(context, source);
    int errors = diag_errors(context);
    diag_print(context, stderr);
    context_free(context);
    return errors ? 1 : 0;
}
