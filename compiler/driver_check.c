/* driver_check.c -- `nndc check`: errors, and a table of the models. */
#include "ast.h"
#include "driver.h"

int command_check(Driver *driver)
{
    const Source *source = source_read(driver->context, driver->arguments.data[0], NO_SPAN);
    if (source) parse_file(driver->context, source);
    return diag_errors(driver->context) ? STATUS_WRONG : STATUS_DONE;
}
