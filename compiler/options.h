/* options.h -- the options of a compilation, one field per row of options.def, and the reading of a
 * command line. */
#ifndef NND_OPTIONS_H
#define NND_OPTIONS_H

#include "base.h"

typedef const char *OptionText;
typedef struct OptionList {
    const char **data;
    int len, cap;
} OptionList;

typedef struct Options {
#define OPTION_TYPE_bool bool
#define OPTION_TYPE_int int
#define OPTION_TYPE_string OptionText
#define OPTION_TYPE_list OptionList
#define OPTION_TYPE_size int64_t
#define OPTION(field, flag, type, initial, argument, commands, doc) OPTION_TYPE_##type field;
#include "options.def"
#undef OPTION
#undef OPTION_TYPE_bool
#undef OPTION_TYPE_int
#undef OPTION_TYPE_string
#undef OPTION_TYPE_list
#undef OPTION_TYPE_size
} Options;

/* What else stands on a command line. */
typedef struct Arguments {
    const char **data;
    int len, cap;
    bool help;
} Arguments;

Options options_default(void);
/* Reads argv[0..argc): options of `command` into options, the rest into arguments, both kept in the
 * arena. On a mistake says what is wrong, with a suggestion, on stderr and returns false. */
bool options_read(Arena *arena, const char *command, int argc, char **argv, Options *options,
                  Arguments *arguments);
/* A table of the options of a command (NULL: of all). */
void options_print(const char *command, FILE *out);

#endif
