/* main.c -- nndc: the table of commands, their usage, and main. */
#include "driver.h"

#include <sys/resource.h>

typedef struct Command {
    const char *name;
    const char *arguments; /* as usage shows them */
    int min, max;          /* how many there may be */
    int (*run)(Driver *driver);
    const char *doc;
} Command;

static int command_help(Driver *driver);
static int command_options(Driver *driver);
static int command_version(Driver *driver);

static const Command commands[] = {
    {"check", "FILE", 1, 1, command_check, "report errors, and a table of the models"},
    {"train", "FILE", 1, 1, command_train, "train its models; writes FILE.run/"},
    {"build", "FILE", 1, 1, command_build,
     "a trainer that stands alone: its source and executable"},
    {"eval", "FILE", 1, 1, command_eval, "the reports, on the test split"},
    {"predict", "FILE [MODEL]", 1, 2, command_predict, "run a model on data; print or save"},
    {"ir", "FILE", 1, 1, command_ir, "the graph of every computation, as text"},
    {"doc", "[NAME]", 0, 1, command_doc,
     "the library: a list, or one definition with its examples"},
    {"passes", "", 0, 0, command_passes, "what happens between the graph and the code"},
    {"options", "", 0, 0, command_options, "every option, with the commands that take it"},
    {"--self-check", "", 0, 0, command_self_check,
     "test the operators and the library by their examples"},
    {"--version", "", 0, 0, command_version, "the version"},
    {"--help", "[COMMAND]", 0, 1, command_help, "this text, or the options of one command"},
};
enum { COMMAND_COUNT = sizeof commands / sizeof *commands };

static const Command *command_find(const char *name)
{
    if (!strcmp(name, "-h") || !strcmp(name, "help")) name = "--help";
    if (!strcmp(name, "-V")) name = "--version";
    for (int i = 0; i < COMMAND_COUNT; i++)
        if (!strcmp(name, commands[i].name)) return &commands[i];
    return NULL;
}

static int command_unknown(const char *name)
{
    const char *names[COMMAND_COUNT];
    for (int i = 0; i < COMMAND_COUNT; i++)
        names[i] = commands[i].name;
    const char *near = suggest(name, names, COMMAND_COUNT);
    size_t len = strlen(name);
    fprintf(stderr, "nndc: error: there is no command `%s`\n", name);
    if (len > 4 && !strcmp(name + len - 4, ".nnd"))
        fprintf(stderr, "hint: `nndc train %s` trains it, `nndc check %s` checks it\n", name, name);
    else if (near)
        fprintf(stderr, "hint: did you mean `%s`?\n", near);
    else
        fprintf(stderr, "hint: `nndc --help` lists the commands\n");
    return STATUS_USAGE;
}

static void command_usage(const Command *command, FILE *out)
{
    fprintf(out, "usage: nndc %s%s%s [OPTION]...\n%s\n", command->name,
            *command->arguments ? " " : "", command->arguments, command->doc);
    fprintf(out, "\noptions:\n");
    options_print(command->name, out);
}

static void usage_print(FILE *out)
{
    fprintf(out, "nndc " NND_VERSION ", a compiler for .nnd descriptions of neural networks\n\n"
                 "usage:\n");
    for (int i = 0; i < COMMAND_COUNT; i++) {
        char call[64];
        snprintf(call, sizeof call, "%s %s", commands[i].name, commands[i].arguments);
        fprintf(out, "  nndc %-22s  %s\n", call, commands[i].doc);
    }
    fprintf(out,
            "\nexit status: 0 done, 1 the program or its data is wrong, 2 usage, 3 an internal "
            "error\n`nndc COMMAND --help` shows a command's options\n");
}

static int command_help(Driver *driver)
{
    if (!driver->arguments.len) {
        usage_print(stdout);
        return STATUS_DONE;
    }
    const Command *command = command_find(driver->arguments.data[0]);
    if (!command) return command_unknown(driver->arguments.data[0]);
    command_usage(command, stdout);
    return STATUS_DONE;
}

static int command_options(Driver *driver)
{
    (void)driver;
    options_print(NULL, stdout);
    return STATUS_DONE;
}

static int command_version(Driver *driver)
{
    (void)driver;
    printf("nndc " NND_VERSION "\n");
    return STATUS_DONE;
}

/* Whether the number of arguments is right; says so if not. */
static bool arguments_check(const Command *command, const Arguments *arguments)
{
    if (arguments->len >= command->min && arguments->len <= command->max) return true;
    if (arguments->len < command->min)
        fprintf(stderr, "nndc: error: %s wants %s\n", command->name, command->arguments);
    else if (command->max == 0)
        fprintf(stderr, "nndc: error: %s takes no argument, not `%s`\n", command->name,
                arguments->data[0]);
    else
        fprintf(stderr, "nndc: error: %s wants %s: `%s` is one too many\n", command->name,
                command->arguments, arguments->data[command->max]);
    fprintf(stderr, "usage: nndc %s %s\n", command->name, command->arguments);
    return false;
}

static int command_run(Driver *driver, const Command *command, int argc, char **argv)
{
    if (!options_read(driver->arena, command->name, argc, argv, &driver->options,
                      &driver->arguments))
        return STATUS_USAGE;
    if (driver->arguments.help) {
        command_usage(command, stdout);
        return STATUS_DONE;
    }
    if (!arguments_check(command, &driver->arguments)) return STATUS_USAGE;
    int status = command->run(driver);
    if (diag_errors(driver->context) && !status) status = STATUS_WRONG;
    diag_print(driver->context, stderr);
    if (fflush(stdout) || ferror(stdout)) die("cannot write to standard output");
    return status;
}

/* Programs of thousands of unrolled statements are walked by recursion: room for it, where allowed. */
static void stack_enlarge(void)
{
    struct rlimit limit;
    rlim_t wanted = (rlim_t)100 << 20;
    if (getrlimit(RLIMIT_STACK, &limit) || limit.rlim_cur == RLIM_INFINITY) return;
    if (limit.rlim_max != RLIM_INFINITY && limit.rlim_max < wanted) wanted = limit.rlim_max;
    if (limit.rlim_cur >= wanted) return;
    limit.rlim_cur = wanted;
    setrlimit(RLIMIT_STACK, &limit);
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        usage_print(stderr);
        return STATUS_USAGE;
    }
    const Command *command = command_find(argv[1]);
    if (!command) return command_unknown(argv[1]);
    stack_enlarge();
    Context *context = context_new();
    Driver driver = {context, context_arena(context), options_default(),
                     {0},     command->name,          argv[0]};
    int status = command_run(&driver, command, argc - 2, argv + 2);
    context_free(context);
    return status;
}
