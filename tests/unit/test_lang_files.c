/* test_lang_files.c -- whole files: line ends, words that are keywords only in places, what an item
 * becomes, the programs of tests/lang and of the library, recovery after errors, and input that is
 * no program at all, up to programs mutated at random. */
#include "ast.h"
#include "unit.h"

#include <glob.h>
#include <stdlib.h>

static Context *context_fresh(void)
{
    Context *context = context_new();
    source_add(context, "none", "", 0, false);
    return context;
}

static AstFile *file_of(Context *context, const char *text, size_t size)
{
    return parse_file(context, source_add(context, "test.nnd", text, size, false));
}

/* What diag_print says; to be freed. */
static char *report_of(Context *context)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    diag_print(context, out);
    fclose(out);
    return text;
}

/* The number of statements in the first item, or -1 after an error. */
static int body_len(const char *text)
{
    Context *context = context_fresh();
    AstFile *file = file_of(context, text, strlen(text));
    int len = diag_errors(context) || !file->items.len ? -1 : file->items.data[0]->body.len;
    if (len < 0) diag_print(context, stdout);
    context_free(context);
    return len;
}

static bool parses(const char *text)
{
    Context *context = context_fresh();
    file_of(context, text, strlen(text));
    bool good = !diag_errors(context);
    context_free(context);
    return good;
}

/* --- line ends ------------------------------------------------------------------------------- */

static void test_lines(void)
{
    CU_ASSERT(body_len("fn f(x) { h = g(x) }") == 1);
    CU_ASSERT(body_len("fn f(x) { a = 1; b = 2; return a }") == 3);
    CU_ASSERT(body_len("fn f(x) {\n a = 1\n b = 2\n\n\n return a\n}\n") == 3);
    CU_ASSERT(body_len("fn f(x) {\r\n a = 1\r\n b = 2 # and\r\n}\r\n") == 2);
    CU_ASSERT(body_len("fn f(x) {\n a = 1 +\n 2 *\n 3\n}") == 1);
    CU_ASSERT(body_len("fn f(\n x,\n y\n) {\n a = g(1,\n\n 2\n )\n b = [1,\n 2]\n}") == 2);
    CU_ASSERT(body_len("fn f(x) {\n a = x\n # a comment between\n\n |> g\n |> h\n b = a\n}") == 2);
    CU_ASSERT(body_len("fn f(x) {\n a = if x\n then 1\n else 2\n b = 3 }") == 2);
    CU_ASSERT(body_len("fn f(x) {\n if x {\n a = 1\n }\n else {\n a = 2\n }\n return a }") == 2);
    CU_ASSERT(body_len("fn f(x) {\n if x { a = 1 } else if y { a = 2 } else { a = 3 } }") == 1);
    CU_ASSERT(body_len("fn f(x) {\n a = max\n b = int\n c = true\n d = \"s\"\n }") == 4);
    CU_ASSERT(body_len("fn f(x) = \n x") == 1);
    CU_ASSERT(body_len("fn f(x) = x") == 1);
    CU_ASSERT(body_len("fn f(x) {}") == 0);
    CU_ASSERT(body_len("fn f(x) { ; ; a = 1 ; ; }") == 1);
    CU_ASSERT(body_len("train t { minimize a\n over A,\n B\n using adam(1)\n b = 1 }") == 2);
    CU_ASSERT(body_len("train t { x = a\n over = 3\n using = 4 }") == 3);
    CU_ASSERT(body_len("train t { x = a\n over: 3\n using: 4 }") == 3);
    CU_ASSERT(body_len("data d { train { x = 1 } test { x = 2 }\n valid { x = 3 } split: [1] }") ==
              4);
    CU_ASSERT(!parses("fn f(x) {\n a = 1 b = 2\n}"));
    CU_ASSERT(!parses("fn f(x) {\n a = 1\n + 2\n}"));
    CU_ASSERT(!parses("fn f(x)\n{\n return x\n}"));
    CU_ASSERT(!parses("fn f(x) {\n return\n x\n}"));
}

/* --- words ----------------------------------------------------------------------------------- */

static const char *const soft_words[] = {"data",  "train",  "valid", "test", "state",    "param",
                                         "fit",   "next",   "yield", "feed", "report",   "update",
                                         "phase", "repeat", "every", "load", "minimize", "on",
                                         "over",  "like",   "using", "carry", "require"};

/* Programs in which the word $ is an ordinary name. */
static const char *const soft_places[] = {
    "fn $($, a: [$]) = $ + f($) * $[$]",
    "fn f(x) {\n $ = 1\n $, b = g($)\n $[$] = $\n param $: [$] = $\n next $ = $\n yield $[$] = $\n}",
    "fn f(x) { if $ { a = $ } else { a = -$ }; for $ in 0..$ { b = 1 } }",
    "fn f(x) { scan $ < $ carry $: [$] = $, b = $ { yield $ = $ } return $ }",
    "model $ like $\nload $ = f($)\nconst $ = $\nlayer $($ = $) -> [$] = $",
    "data $ { feed $: [4]\n $ = csv(\"a\")\n $: $ }",
    "train $ on $, $ {\n $: 3\n minimize $ over $, $[$] using $\n report $ = $\n update $ = $\n}",
    "train t { repeat $ { a = $ } every $ { $ = 1 } phase $ { $: $ } state $ = $ }",
    "optimizer $($) { state $ = $; next $ = $ * $ }",
    "const a = f($ = $, b = $)\nconst b = if $ then $ else $ and $ or $",
    "const a = M.$.$ |> $ |> $($) |> $[$]",
};

static void test_words(void)
{
    for (size_t w = 0; w < sizeof soft_words / sizeof *soft_words; w++)
        for (size_t i = 0; i < sizeof soft_places / sizeof *soft_places; i++) {
            Context *context = context_fresh();
            StrBuf text = str_new(context_arena(context));
            for (const char *at = soft_places[i]; *at; at++)
                if (*at == '$')
                    str_add(&text, soft_words[w]);
                else
                    str_add_n(&text, at, 1);
            file_of(context, str_text(&text), text.len);
            CU_ASSERT(!diag_errors(context));
            diag_print(context, stdout);
            context_free(context);
        }
    CU_ASSERT(parses("fn f(x) = b.fn + b.if.sum.true.import"));
    CU_ASSERT(!parses("fn f(x) { model = 3 }"));
    CU_ASSERT(!parses("fn max(x) = 3"));
    CU_ASSERT(!parses("train t { minimize(x) using y }"));
}

/* --- what becomes of an item ----------------------------------------------------------------- */

static void test_items(void)
{
    static const char text[] =
        "# not this\n\n# A sentence.\n#  example: f(1) == 2\n"
        "fn f(x: [T <= 60, ..S, N + 1], k = 3, w: int = 1) -> [T], real = x, k\n"
        "model Net[5](x: u8[2]) { return x }   # not a doc\n"
        "model B like Net\n"
        "import \"other.nnd\"\n"
        "train t on a, b { minimize x over A, Net[2] using adam(1) }\n";
    Context *context = context_fresh();
    AstFile *file = file_of(context, text, sizeof text - 1);
    CU_ASSERT(!diag_errors(context));
    CU_ASSERT_FATAL(file->items.len == 5);
    const AstItem *f = file->items.data[0], *net = file->items.data[1], *b = file->items.data[2];
    CU_ASSERT(f->kind == AST_FN && f->params.len == 3 && f->results.len == 2 && f->body.len == 1);
    CU_ASSERT_STRING_EQUAL(f->doc, "A sentence.\n example: f(1) == 2");
    CU_ASSERT(f->span.line == 5 && f->span.col == 1 && f->span.end_line == 5);
    CU_ASSERT(f->name.span.col == 4 && f->name.span.end_col == 5);
    const AstType *type = f->params.data[0].type;
    CU_ASSERT_FATAL(type && type->dims.len == 3);
    CU_ASSERT(type->base == AST_REAL);
    CU_ASSERT(!strcmp(type->dims.data[0].bounded, "T") &&
              type->dims.data[0].size->number.value == 60);
    CU_ASSERT(!strcmp(type->dims.data[1].rest, "S") && !type->dims.data[1].size);
    CU_ASSERT(type->dims.data[2].size->kind == AST_BINARY && !type->dims.data[2].bounded);
    CU_ASSERT(!f->params.data[1].type && f->params.data[1].fallback->number.is_int);
    CU_ASSERT(f->params.data[2].type->base == AST_INT && f->params.data[2].fallback);
    CU_ASSERT(f->body.data[0]->kind == AST_RETURN && f->body.data[0]->values.len == 2);
    CU_ASSERT(net->kind == AST_MODEL && net->count->number.value == 5 && !net->doc);
    CU_ASSERT(b->kind == AST_MODEL_LIKE && !strcmp(b->other.name, "Net") && !b->doc);
    CU_ASSERT(!strcmp(file->items.data[3]->path, "other.nnd"));
    const AstItem *t = file->items.data[4];
    CU_ASSERT(t->kind == AST_TRAIN && t->on.len == 2 && t->body.len == 1);
    const AstStmt *minimize = t->body.data[0];
    CU_ASSERT(minimize->kind == AST_MINIMIZE && minimize->over.len == 2);
    CU_ASSERT(!minimize->over.data[0].index && minimize->over.data[1].index->number.value == 2);
    CU_ASSERT(minimize->values.len == 2 && minimize->values.data[1]->kind == AST_CALL);
    context_free(context);
}

static void test_statements(void)
{
    static const char text[] = "layer f(x) {\n scan t < T reversed carry h: [3] = 0, c = 1 {\n"
                               "  next h[i < 3] = c\n  yield y = next h\n }\n"
                               " for k in 0..4 { a, b = g(k) }\n a, b = b, a\n"
                               " if x { return 1 } else if y { return 2 } else { return 3 }\n"
                               " require -x < 2 and y, \"why\"; require = 3\n}\n";
    Context *context = context_fresh();
    AstFile *file = file_of(context, text, sizeof text - 1);
    CU_ASSERT(!diag_errors(context));
    CU_ASSERT_FATAL(file->items.len == 1 && file->items.data[0]->body.len == 6);
    AstBlock body = file->items.data[0]->body;
    const AstStmt *scan = body.data[0], *loop = body.data[1], *swap = body.data[2];
    CU_ASSERT(scan->kind == AST_SCAN && scan->reversed && scan->carries.len == 2);
    CU_ASSERT(scan->indices.len == 1 && !strcmp(scan->indices.data[0].name, "t"));
    CU_ASSERT(scan->carries.data[0].type && !scan->carries.data[1].type);
    CU_ASSERT_FATAL(scan->body.len == 2);
    CU_ASSERT(scan->body.data[0]->kind == AST_SET_NEXT && scan->body.data[0]->indices.len == 1);
    CU_ASSERT(scan->body.data[1]->kind == AST_YIELD && !scan->body.data[1]->indices.len);
    CU_ASSERT(scan->body.data[1]->values.data[0]->kind == AST_NEXT);
    CU_ASSERT(loop->kind == AST_FOR && loop->values.len == 2 && loop->names.len == 1);
    CU_ASSERT(loop->values.data[1]->number.value == 4);
    CU_ASSERT(swap->kind == AST_ASSIGN && swap->names.len == 2 && swap->values.len == 2);
    CU_ASSERT_FATAL(body.data[3]->otherwise.len == 1);
    CU_ASSERT(body.data[3]->otherwise.data[0]->kind == AST_IF_STMT);
    CU_ASSERT(body.data[3]->otherwise.data[0]->otherwise.len == 1);
    CU_ASSERT(body.data[4]->kind == AST_REQUIRE && body.data[4]->values.len == 2);
    CU_ASSERT(!strcmp(body.data[4]->values.data[1]->string.text, "why"));
    CU_ASSERT(body.data[5]->kind == AST_ASSIGN);
    context_free(context);
}

/* --- whole programs -------------------------------------------------------------------------- */

typedef struct Text {
    char *text;
    size_t size;
} Text;

static Text file_read(const char *path)
{
    Text result = {NULL, 0};
    FILE *file = fopen(path, "rb");
    if (!file) return result;
    char *text = malloc(1 << 20);
    result.size = fread(text, 1, 1 << 20, file);
    result.text = text;
    fclose(file);
    return result;
}

static void check_folder(const char *pattern, int at_least)
{
    glob_t found = {0};
    glob(pattern, 0, NULL, &found);
    CU_ASSERT((int)found.gl_pathc >= at_least);
    for (size_t i = 0; i < found.gl_pathc; i++) {
        Context *context = context_fresh();
        const Source *source = source_read(context, found.gl_pathv[i], NO_SPAN);
        CU_ASSERT_PTR_NOT_NULL_FATAL(source);
        CU_ASSERT(parse_file(context, source)->items.len > 0 && !diag_errors(context));
        diag_print(context, stdout);
        context_free(context);
    }
    globfree(&found);
}

static void test_programs(void)
{
    check_folder(NND_ROOT "/tests/lang/*.nnd", 14);
    check_folder(NND_ROOT "/lang/std/*.nnd", 8);
    check_folder(NND_ROOT "/examples/*/model.nnd", 0);
}

/* --- errors ---------------------------------------------------------------------------------- */

/* A wrong program and what its report contains. Where the places of errors are given, they are all
 * of them. */
static const struct {
    const char *text, *says;
} wrong_files[] = {
    {"fn f(x) {\n a = 1 +\n}\nfn g(x) = * 2\nfn h(x) {\n b = )\n c = x x\n return c\n}\n",
     ":2:9: error: expected an expression|:4:11: error: expected an expression, found `*`|"
     ":6:6: error: expected an expression, found `)`|:7:8: error: |found `x`"},
    {"fn f(x) {\n a = g(x, [1, 2\n b = 3 3\n return a\n}\nfn g(x) = 2 2\n",
     ":2:16: error: |found the end of the line|:2:11: note: `[` is still open|:3:8: error: |:6:13: "
     "error: "},
    {"fn f(x) {\n a = g(x,\n return a\n}\nfn g(x) = 2 2\n",
     ":2:10: error: |:2:7: note: `(` is still open|:5:13: error: "},
    {"fn f(x) {\n if x {\n  a = 1\n return a\n}\nfn g(x) = 2 2\n",
     ":6:1: error: a `}` is missing|:2:7: note: this `{`|:6:13: error: "},
    {"fn f(x) {\n return x\n}\n}\nfn g(x) = 2 2\n",
     ":4:1: error: this `}` closes nothing|:5:13: error: "},
    {"fn f(x) {\n a = b", ":2:7: error: a `}` is missing before the end"},
    {"fn f(x)\n{\n return x x\n}\n", ":2:1: error: a `{` cannot begin a line|:3:11: error: "},
    {"fn f(x)\n return x\n", ":1:8: error: expected `->`, `=` or `{`, found the end of the "
                             "line|:2:2: error: `return` outside"},
    {"fn f(x) {\n if x = 3 { a = 1 1 } else { a = 2 }\n}\n",
     ":2:7: error: |:2:19: error: |hint: a comparison is written `==`"},
    {"fn f(x) { x == 3 }", "error: |hint: an assignment is written `=`"},
    {"fn f(x) = a && b || !c ** 2",
     ":1:13: error: |`and`|:1:18: error: |`or`|:1:21: error: |`not`|:1:24: error: |`^`"},
    {"fn f(x) { a := 3; a += 1; b = 'it' }",
     "written `=`|no `+=`|x = x + |double quotes|write \"it\""},
    {"fn f(x) = a \xe2\x88\x92 b \xc3\x97 c \xe2\x89\xa4 d", "write `-`|write `*`|write `<=`"},
    {"fn f(x) = g(\xe2\x80\x9chello\xe2\x80\x9d)", "plain double quotes|write \"hello\""},
    {"fn f(x) = \xce\xb1 + 1", ":1:11: error: a character outside ASCII"},
    {"fn f(x) { if x { a = 1 } elif y { a = 2 } else { a = 3 } }", "`elif` is written `else if`"},
    {"fn f(x) { a = 1; else { b = 2 } }", "this `else` belongs to no `if`"},
    {"fn f(x) = x\nreturn 3", ":2:1: error: `return` outside of any body"},
    {"x = 3", "outside of any body|`const x = ...`"},
    {"fn f(x) {\n minimize x using adam }", ":2:2: error: `minimize` cannot stand in the body"},
    {"train t { return x; param w = 1 }",
     "`return` cannot stand in a `train` block|`param` cannot"},
    {"data d { minimize x using y }", "`minimize` cannot stand in a `data` block"},
    {"fn f(x) { a = \"abc\n b = 1 1 }", ":1:15: error: this string is not closed|:2:8: error: "},
    {"fn f(x) { model = 3 }\nfn g(x) { sum = 3 }\nmodel = 4",
     ":1:11: error: `model` is a word|:2:11: error: `sum` is a word|:3:1: error: `model` is a "
     "word"},
    {"fn f(x) { y[2] = 1; y[i + 1] = 2; y[i <= 3] = 1 }",
     "names of indices|index stands alone|`i < n + 1`"},
    {"fn f(x) { y = sum[i in 0..3] x[i] }", "`i < n`"},
    {"fn f(x) = sum[i < ] x[i]", ":1:19: error: expected an expression, found `]`"},
    {"fn f(x) { for k in 8 { a = k } }", "`0..n`"},
    {"fn f(x) = a < b < c", ":1:17: error: |do not chain"},
    {"fn f(x) = x |> g + 1", ":1:18: error: |only another `|>`"},
    {"fn f(x) = 1 + if a then b else c", "stands in parentheses"},
    {"fn f(x) = if a then b", "has an `else`"},
    {"fn f(x) = if a { b } else { c }", "`if a then b else c`"},
    {"def f(x) = 3", "`fn f(x) = ...`"},
    {"fn f(x) { g(x) }", "`_ = f(x)`"},
    {"train t { minimize(x) using y }", "a blank stands after `minimize`"},
    {"fn f(x [N]) = x", "`x: [N]`"},
    {"fn f(x: N) = x", "expected a type"},
    {"fn f(x) = 3x + .5 + 2. ", "`3 * x`|`0.5`|`2.0`"},
    {"fn f(x) = (1, 2)", "`[a, b]`"},
    {"fn f(x) = a \\ b ? c", "operator or a comma|`if a then b else c`"},
    {"fn f(x, y, x) = 1", "a second parameter named `x`"},
    {"// comment\nfn f(x) = x", "a comment begins with `#`"},
    {"train t {\n minimize mean(f(x)\n  over A using b\n a = 1 1\n}",
     ":2:20: error: |:4:8: error: "},
    {"train t { minimize x using b over A }", "`over` stands before `using`"},
    {"import other\nfn f(x) = x x", ":1:8: error: |:2:13: error: "},
};

static void test_errors(void)
{
    for (size_t i = 0; i < sizeof wrong_files / sizeof *wrong_files; i++) {
        Context *context = context_fresh();
        CU_ASSERT_PTR_NOT_NULL(file_of(context, wrong_files[i].text, strlen(wrong_files[i].text)));
        CU_ASSERT(diag_errors(context) > 0);
        char *report = report_of(context), part[200];
        int announced = 0;
        for (const char *says = wrong_files[i].says; *says;) {
            size_t n = strcspn(says, "|");
            if (says[n] == '|' && says[n + 1] == '>') n = strlen(says); /* the pipe itself */
            snprintf(part, sizeof part, "%.*s", (int)n, says);
            if (!strstr(report, part)) printf("\n\"%s\" is not in\n%s", part, report);
            CU_ASSERT(strstr(report, part) != NULL);
            announced += part[0] == ':' && strstr(part, "error:");
            says += n + (says[n] == '|');
        }
        CU_ASSERT(!announced || announced == diag_errors(context));
        if (announced && announced != diag_errors(context))
            printf("\nmore than these:\n%s", report);
        free(report);
        context_free(context);
    }
}

static void test_many_errors(void)
{
    Context *context = context_fresh();
    StrBuf text = str_new(context_arena(context));
    for (int i = 0; i < 1000; i++)
        str_add(&text, "const a = +\n");
    file_of(context, str_text(&text), text.len);
    CU_ASSERT(diag_errors(context) == 21);
    context_free(context);
}

/* --- no programs ----------------------------------------------------------------------------- */

static void check_garbage(const char *begin, const char *repeated, int count, const char *end)
{
    Context *context = context_fresh();
    StrBuf text = str_new(context_arena(context));
    str_add(&text, begin);
    for (int i = 0; i < count; i++)
        str_add(&text, repeated);
    str_add(&text, end);
    CU_ASSERT_PTR_NOT_NULL(file_of(context, str_text(&text), text.len));
    CU_ASSERT(diag_errors(context) > 0 && diag_errors(context) <= 21);
    free(report_of(context));
    context_free(context);
}

static void test_deep(void)
{
    check_garbage("const a = ", "(", 1000000, "");
    check_garbage("const a = ", "x[", 100000, "");
    check_garbage("", "{", 100000, "");
    check_garbage("", "}", 100000, "");
    check_garbage("const a = ", "-", 100000, "1\n");
    check_garbage("const a = ", "not ", 100000, "1\n");
    check_garbage("const a = 1", " + a", 100000, "\n");
    check_garbage("const a = 1", "^a", 100000, "\n");
    check_garbage("const a = x", "[1]", 100000, "\n");
    check_garbage("const a = x", " |> f", 100000, "\n");
    check_garbage("const a = ", "if a then ", 100000, "\n");
    check_garbage("const a = ", "sum[i] ", 100000, "\n");
    check_garbage("fn f() {\n", "if a { } else ", 100000, "{ }\n}\n");
    check_garbage("const a = ", "9", 100000, "\n");
    check_garbage("const a = \"", "9", 1000000, "\n");
    check_garbage("fn f(", "a, ", 100000, "b) = 1\n");
    CU_ASSERT(parses("const a = ((((((((((1))))))))))"));
}

static void test_binary(void)
{
    static const char nul[] = "fn f(x) = 1\n\0\0 { ( \"";
    Context *context = context_fresh();
    CU_ASSERT(file_of(context, nul, sizeof nul - 1)->items.len == 1);
    CU_ASSERT(diag_errors(context) == 1);
    uint32_t state = 3;
    for (int i = 0; i < 200; i++) {
        char bytes[300];
        for (size_t k = 0; k < sizeof bytes; k++) {
            state = state * 1664525u + 1013904223u;
            bytes[k] = (char)(i % 2 ? 1 + (state >> 8) % 255 : (state >> 8) % 95 + 32);
        }
        CU_ASSERT_PTR_NOT_NULL(file_of(context, bytes, sizeof bytes));
    }
    free(report_of(context));
    context_free(context);
}

/* Programs with pieces deleted, doubled, exchanged and overwritten: each must be read to its end.
 */
static void mutate(Text original, uint32_t *state)
{
    static const char *const pieces[] = {"(",         ")",     "[",      "]", "{",  "}",
                                         "\n",        ";",     ",",      "=", "|>", "if ",
                                         "else ",     "fn ",   "\"",     "'", "..", " over ",
                                         " next ",    "sum[",  "0",      "#", "@",  "\xe2\x88\x92",
                                         " outside ", "elif ", "return "};
    char *text = malloc(original.size + 200);
    size_t size = original.size;
    memcpy(text, original.text, size);
    for (int k = 0; k < 4; k++) {
        *state = *state * 1664525u + 1013904223u;
        size_t at = (*state >> 8) % size, len = (*state >> 4) % 12 + 1;
        const char *piece = pieces[(*state >> 12) % (sizeof pieces / sizeof *pieces)];
        if (at + len >= size || size < 60) continue;
        if (*state & 0x40000000) { /* delete */
            memmove(text + at, text + at + len, size - at - len);
            size -= len;
        } else if (size + strlen(piece) < original.size + 200) { /* insert */
            memmove(text + at + strlen(piece), text + at, size - at);
            memcpy(text + at, piece, strlen(piece));
            size += strlen(piece);
        }
    }
    Context *context = context_fresh();
    CU_ASSERT_PTR_NOT_NULL(file_of(context, text, size));
    CU_ASSERT(diag_errors(context) <= 21);
    free(report_of(context));
    context_free(context);
    free(text);
}

static void test_mutations(void)
{
    glob_t found = {0};
    glob(NND_ROOT "/tests/lang/*.nnd", 0, NULL, &found);
    uint32_t state = 11;
    for (size_t i = 0; i < found.gl_pathc; i++) {
        Text original = file_read(found.gl_pathv[i]);
        for (int k = 0; k < 100 && original.text; k++)
            mutate(original, &state);
        free(original.text);
    }
    globfree(&found);
}

static const UnitTest tests[] = {
    {"line ends", test_lines},
    {"words that are keywords only in places", test_words},
    {"items", test_items},
    {"statements", test_statements},
    {"programs", test_programs},
    {"errors and recovery", test_errors},
    {"too many errors", test_many_errors},
    {"deep nesting", test_deep},
    {"binary input", test_binary},
    {"mutated programs", test_mutations},
};

UNIT_MAIN("lang: files", tests)
