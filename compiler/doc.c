/* doc.c -- `nndc doc`: the library's documentation, from the comments of the embedded lang/std, and
 * the scalar operators and reductions of ops.def.
 *
 * A definition's comment is sentences, then lines "example: ..." and "source: ..."; the heading of
 * a file is the comment at its top. */
#include "ast.h"
#include "driver.h"
#include "embedded.h"
#include "ir.h"

#include <ctype.h>

static bool is_definition(const AstItem *item)
{
    switch (item->kind) {
    case AST_CONST:
    case AST_FN:
    case AST_LAYER:
    case AST_MODEL:
    case AST_OPTIMIZER: return true;
    case AST_IMPORT:
    case AST_MODEL_LIKE:
    case AST_LOAD:
    case AST_DATA:
    case AST_TRAIN: return false;
    }
    return false;
}

/* The place in the text of a line and column. */
static const char *text_at(const Source *source, int line, int col)
{
    const char *at = source->text;
    for (int n = 1; n < line && *at; at++)
        if (*at == '\n') n++;
    return at + col - 1;
}

/* `layer dense(x: [N], units)`: the definition's text up to its body. */
static const char *signature_text(Arena *arena, const Source *source, const AstItem *item)
{
    const char *begin = text_at(source, item->span.line, item->span.col), *end = begin;
    StrBuf out = str_new(arena);
    for (int depth = 0; *end; end++) {
        if (*end == '(' || *end == '[') depth++;
        if (*end == ')' || *end == ']') depth--;
        if (!depth && (*end == '{' || *end == '=')) break;
    }
    while (end > begin && isspace((unsigned char)end[-1]))
        end--;
    for (const char *c = begin; c < end; c++) {
        bool blank = isspace((unsigned char)*c);
        if (!blank || !isspace((unsigned char)c[-1])) str_add_n(&out, blank ? " " : c, 1);
    }
    return str_text(&out);
}

/* The first sentence of a comment. */
static const char *first_sentence(Arena *arena, const char *doc)
{
    StrBuf out = str_new(arena);
    for (const char *c = doc ? doc : ""; *c; c++) {
        str_add_n(&out, *c == '\n' ? " " : c, 1);
        if (*c == '.' && (c[1] == '\0' || isspace((unsigned char)c[1]))) break;
    }
    return str_text(&out);
}

static void definition_print(Driver *driver, const Source *source, const AstItem *item)
{
    printf("%s\n\n", signature_text(driver->arena, source, item));
    for (const char *line = item->doc ? item->doc : ""; *line;) {
        size_t n = strcspn(line, "\n");
        while (n && *line == ' ') {
            line++;
            n--;
        }
        printf("    %.*s\n", (int)n, line);
        line += n + (line[n] == '\n');
    }
    printf("\n    defined in %s, line %d\n", source->path, item->span.line);
}

static void operator_print(const char *name, const char *doc, const char *example)
{
    printf("%s\n\n    %s\n", name, doc);
    if (example) printf("    example: %s\n", example);
    printf("\n    built in\n");
}

static bool is_word(const char *name)
{
    return isalpha((unsigned char)*name) != 0;
}

/* Operators and reductions with that name, all of them; returns how many. */
static int builtin_print(const char *name)
{
    int found = 0;
    for (int i = 0; i < OP_COUNT; i++)
        if (!strcmp(name, op_table[i].name)) {
            printf("%s", found++ ? "\n" : "");
            operator_print(name, op_table[i].doc, op_table[i].example);
        }
    for (int i = 1; i < REDUCE_COUNT; i++)
        if (!strcmp(name, reduce_table[i].name)) {
            printf("%s", found++ ? "\n" : "");
            printf("%s[index, ...] value, %s(x)\n\n    %s\n    example: %s\n\n"
                   "    a reduction, built in\n",
                   name, name, reduce_table[i].doc, reduce_table[i].example);
        }
    return found;
}

static void builtins_list(void)
{
    printf("\nbuilt in\n");
    for (int i = 0; i < OP_COUNT; i++)
        printf("  %-20s %s\n", op_table[i].name, op_table[i].doc);
    for (int i = 1; i < REDUCE_COUNT; i++)
        printf("  %-20s %s\n", reduce_table[i].name, reduce_table[i].doc);
}

int command_doc(Driver *driver)
{
    const char *wanted = driver->arguments.len ? driver->arguments.data[0] : NULL;
    VEC(const char *) names = {0};
    int found = wanted ? builtin_print(wanted) : 0;
    for (const EmbeddedFile *file = nnd_embedded; file->path; file++) {
        if (strncmp(file->path, "lang/std/", 9)) continue;
        const Source *source =
            source_add(driver->context, file->path, file->text, file->size, true);
        AstFile *ast = parse_file(driver->context, source);
        if (!wanted)
            printf("%s%.*s\n", found++ ? "\n" : "", (int)strcspn(file->path + 9, "."),
                   file->path + 9);
        for (int i = 0; i < ast->items.len; i++) {
            const AstItem *item = ast->items.data[i];
            if (!is_definition(item)) continue;
            vec_push(driver->arena, &names, item->name.name);
            if (!wanted) {
                printf("  %-20s %s\n", item->name.name, first_sentence(driver->arena, item->doc));
            } else if (!strcmp(wanted, item->name.name)) {
                printf("%s", found++ ? "\n" : "");
                definition_print(driver, source, item);
            }
        }
    }
    if (!wanted) builtins_list();
    if (found) return STATUS_DONE;
    for (int i = 0; i < OP_COUNT; i++)
        if (is_word(op_table[i].name)) vec_push(driver->arena, &names, op_table[i].name);
    const char *near = suggest(wanted, names.data, names.len);
    fprintf(stderr, "nndc: error: the library has nothing called `%s`\n", wanted);
    if (near) fprintf(stderr, "hint: did you mean `%s`?\n", near);
    return STATUS_WRONG;
}
