/* options.c -- command lines, read by the table options.def. `--flag value` and `--flag=value` mean
 * the same; a flag of one letter also takes its value without a blank (-O3). `--` ends the options.
 */
#include "options.h"

#include <ctype.h>
#include <stdlib.h>

typedef enum OptionType { OPTION_bool, OPTION_int, OPTION_string, OPTION_list, OPTION_size } OptionType;

typedef struct OptionInfo {
    const char *flag;
    OptionType type;
    size_t offset; /* of the field in Options */
    const char *argument, *commands, *doc;
} OptionInfo;

static const OptionInfo option_table[] = {
#define OPTION(field, flag, type, initial, argument, commands, doc)                                \
    {flag, OPTION_##type, offsetof(Options, field), argument, commands, doc},
#include "options.def"
#undef OPTION
};
enum { OPTION_COUNT = sizeof option_table / sizeof *option_table };

Options options_default(void)
{
    return (Options){
#define OPTION(field, flag, type, initial, argument, commands, doc) .field = initial,
#include "options.def"
#undef OPTION
    };
}

static bool option_belongs(const OptionInfo *option, const char *command)
{
    char word[32];
    if (!command || !*option->commands) return true;
    snprintf(word, sizeof word, " %s ", command);
    return strstr(option->commands, word) != NULL;
}

static bool is_short(const char *flag)
{
    return flag[0] == '-' && flag[1] != '-' && flag[2] == '\0';
}

/* The option that `word` names, with *value set to what follows '=' or a one-letter flag, or NULL.
 */
static const OptionInfo *option_find(const char *word, const char **value)
{
    for (int i = 0; i < OPTION_COUNT; i++) {
        const OptionInfo *option = &option_table[i];
        size_t len = strlen(option->flag);
        if (strncmp(word, option->flag, len)) continue;
        *value = NULL;
        if (word[len] == '\0') return option;
        bool joined = is_short(option->flag) && option->type != OPTION_bool;
        if (!joined && word[len] != '=') continue;
        *value = word + len + (word[len] == '=');
        return option;
    }
    return NULL;
}

static bool option_unknown(const char *command, const char *word)
{
    char flag[64];
    const char *flags[OPTION_COUNT];
    int count = 0;
    snprintf(flag, sizeof flag, "%.*s", (int)strcspn(word, "="), word);
    for (int i = 0; i < OPTION_COUNT; i++)
        if (option_belongs(&option_table[i], command)) flags[count++] = option_table[i].flag;
    const char *near = strlen(flag) > 2 ? suggest(flag, flags, count) : NULL;
    fprintf(stderr, "nndc: error: %s has no option %s\n", command, flag);
    if (near)
        fprintf(stderr, "hint: did you mean %s?\n", near);
    else
        fprintf(stderr, "hint: `nndc %s --help` lists its options\n", command);
    return false;
}

/* Whether the text is one of the words of "openblas|none"; true for anything but such a list. */
static bool choice_allowed(const char *argument, const char *text)
{
    bool list = strchr(argument, '|') != NULL;
    for (const char *c = argument; *c; c++)
        if (!islower((unsigned char)*c) && !isdigit((unsigned char)*c) && *c != '|') list = false;
    if (!list) return true;
    size_t len = strlen(text);
    for (const char *word = argument; *word; word += *word == '|') {
        size_t n = strcspn(word, "|");
        if (n == len && !strncmp(word, text, n)) return true;
        word += n;
    }
    return false;
}

static bool int_read(const OptionInfo *option, const char *text, int *out)
{
    char *end;
    long low = 0, high = 2147483647, value = strtol(text, &end, 10);
    const char *dots = strstr(option->argument, "..");
    if (dots) {
        low = strtol(option->argument, NULL, 10);
        high = strtol(dots + 2, NULL, 10);
    }
    *out = (int)value;
    return end != text && *end == '\0' && value >= low && value <= high;
}

/* "800", "800K", "512M", "2G", "1T", also in small letters or followed by "iB" or "B". */
static bool size_read(const char *text, int64_t *out)
{
    static const char units[] = "KMGT";
    char *end;
    double size = strtod(text, &end);
    if (end == text || !(size > 0) || !isdigit((unsigned char)text[0])) return false;
    const char *unit = *end ? strchr(units, toupper((unsigned char)*end)) : NULL;
    for (int i = 0; unit && i <= unit - units; i++)
        size *= 1024;
    if (unit) end++;
    if (!strcmp(end, "iB") || !strcmp(end, "B")) end += strlen(end);
    if (*end || size < 1 || size > 9e18) return false;
    *out = (int64_t)size;
    return true;
}

static bool option_set(Arena *arena, const OptionInfo *option, const char *value, Options *options)
{
    void *field = (char *)options + option->offset;
    bool good = true;
    switch (option->type) {
    case OPTION_bool: *(bool *)field = true; break;
    case OPTION_size: good = size_read(value, field); break;
    case OPTION_int: good = int_read(option, value, field); break;
    case OPTION_string:
        good = choice_allowed(option->argument, value);
        *(OptionText *)field = value;
        break;
    case OPTION_list:
        good = !strcmp(option->argument, "NAME=VALUE") ? strchr(value, '=') > value : true;
        vec_push(arena, (OptionList *)field, value);
        break;
    }
    if (!good)
        fprintf(stderr, "nndc: error: %s wants %s, not `%s`\n", option->flag, option->argument,
                value);
    return good;
}

bool options_read(Arena *arena, const char *command, int argc, char **argv, Options *options,
                  Arguments *arguments)
{
    bool only_arguments = false;
    for (int i = 0; i < argc; i++) {
        const char *word = argv[i], *value = NULL;
        if (only_arguments || word[0] != '-' || word[1] == '\0') {
            vec_push(arena, arguments, word);
            continue;
        }
        if (!strcmp(word, "--")) {
            only_arguments = true;
            continue;
        }
        if (!strcmp(word, "--help") || !strcmp(word, "-h")) {
            arguments->help = true;
            continue;
        }
        const OptionInfo *option = option_find(word, &value);
        if (!option || !option_belongs(option, command)) return option_unknown(command, word);
        if (option->type == OPTION_bool && value) {
            fprintf(stderr, "nndc: error: %s takes no value\n", option->flag);
            return false;
        }
        if (option->type != OPTION_bool && !value) {
            if (i + 1 == argc) {
                fprintf(stderr, "nndc: error: %s wants %s after it\n", option->flag,
                        option->argument);
                return false;
            }
            value = argv[++i];
        }
        if (!option_set(arena, option, value, options)) return false;
    }
    return true;
}

void options_print(const char *command, FILE *out)
{
    for (int i = 0; i < OPTION_COUNT; i++) {
        const OptionInfo *option = &option_table[i];
        char flag[48];
        if (!option_belongs(option, command)) continue;
        snprintf(flag, sizeof flag, "%s%s%s", option->flag,
                 is_short(option->flag) && strstr(option->argument, "..") ? "" : " ",
                 option->argument);
        fprintf(out, "  %-22s  %s\n", flag, option->doc);
    }
}
