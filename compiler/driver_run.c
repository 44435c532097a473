/* driver_run.c -- the commands that run a program: train, build, eval, predict; by a compiled
 * trainer, or, with --eval, by the reference evaluator in this process. */
#include "describe.h"
#include "driver.h"
#include "reference.h"

#include <stdlib.h>

/* "examples/mnist_mlp", or "." */
static const char *source_folder(Driver *driver)
{
    const char *path = driver->arguments.data[0], *slash = strrchr(path, '/');
    if (!slash) return ".";
    return arena_printf(driver->arena, "%.*s", slash == path ? 1 : (int)(slash - path), path);
}

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
                          .quiet = o->quiet,
                          .json = o->json,
                          .resume = o->resume};
    if (driver->arguments.len > 1) options.name = driver->arguments.data[1];
    return reference_run(program, described, &options);
}

static int run(Driver *driver)
{
    Program *program = driver_program(driver);
    if (!program) return STATUS_WRONG;
    diag_print(driver->context, stderr); /* warnings, before it runs */
    return run_reference(driver, program);
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
