/* options.h -- the options of a compilation, one field per row of options.def. */
#ifndef NND_OPTIONS_H
#define NND_OPTIONS_H

#include <stdbool.h>

typedef const char *OptionText;

typedef struct Options {
#define OPTION_TYPE_bool bool
#define OPTION_TYPE_int int
#define OPTION_TYPE_string OptionText
#define OPTION(field, flag, type, initial, argument, doc) OPTION_TYPE_##type field;
#include "options.def"
#undef OPTION
#undef OPTION_TYPE_bool
#undef OPTION_TYPE_int
#undef OPTION_TYPE_string
} Options;

#endif
