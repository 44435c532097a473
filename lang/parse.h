/* parse.h -- the inside of the parser, for the files of lang/ only.
 *
 * lexer.l cuts a source into raw tokens; tokens.c turns them into the tokens of the grammar (line
 * ends, words that are keywords only in places, brackets); parser.y is the grammar; its actions are
 * the constructors of ast.c; syntax_error.c words what goes wrong. */
#ifndef NND_PARSE_H
#define NND_PARSE_H

#include "ast.h"

enum {
    ERRORS_MAX = 20,   /* syntax errors reported per file */
    NESTING_MAX = 200, /* brackets within brackets */
    TOK_BROKEN = 256   /* bison's own: what could not be scanned, and was reported */
};

/* What a token of the scanner carries. */
typedef union TokenValue {
    struct { Name name; int which; } word; /* which: an AstReduce or AstBase, where it is one */
    struct { double value; bool is_int; } number;
    struct { const char *text; size_t len; } string;
} TokenValue;

typedef struct Token {
    int kind;       /* a TOK_ of the grammar */
    bool word;      /* spelt like a name: may be one after a `.` */
    bool automatic; /* a `;` or `}` that was not written */
    Span span;
    TokenValue value;
} Token;

/* What a symbol of the grammar carries. */
typedef union Value {
    TokenValue token;
    AstName name;
    AstNames names;
    AstExpr *expr;
    AstExprs exprs;
    AstArg arg;
    AstArgs args;
    AstSub sub;
    AstSubs subs;
    AstIndex index;
    AstIndices indices;
    AstDim dim;
    AstDims dims;
    AstType *type;
    AstTypes types;
    AstParam param;
    AstParams params;
    AstCarry carry;
    AstCarries carries;
    AstWho who;
    AstWhos whos;
    AstStmt *stmt;
    AstBlock block;
    AstItem *item;
    AstStmtKind stmt_kind;
    AstItemKind item_kind;
    bool flag;
} Value;

/* A comment that has its line for itself. */
typedef struct Comment {
    int line;
    const char *text; /* after the '#' */
    size_t len;
} Comment;

typedef struct Parser {
    Context *context;
    Arena *arena;
    const Source *source;
    AstFile *file; /* the result */
    AstExpr *expr; /* the result, when one expression is parsed */
    int errors;
    bool stopped;  /* after too many errors: say no more */
    bool too_deep; /* said so */

    /* the scanner */
    int line, col;
    VEC(Token) tokens; /* raw; ends with TOK_YYEOF */
    VEC(Comment) comments;

    /* the token stream */
    int start;       /* TOK_START_FILE or TOK_START_EXPR until delivered, then 0 */
    int at;          /* index of the next raw token */
    int queued;      /* a kind to deliver before it, or 0 */
    int closing;     /* this many `}` are missing here */
    VEC(int) open;   /* raw indices of the brackets that are open */
    int unclosed;    /* raw index of a ( or [ given up, or -1 */
    int suspect;     /* raw index of a { whose } is indented otherwise, or -1 */
    Token current, previous, before; /* the last tokens delivered */
} Parser;

/* --- lexer.l --------------------------------------------------------------------------------- */

/* Scans the whole source into parser->tokens and parser->comments. */
void tokens_scan(Parser *parser);

/* --- tokens.c -------------------------------------------------------------------------------- */

int nnd_yylex(Value *value, Span *span, Parser *parser);
/* Prepares the stream for the parser's recovery after an error at the current token. */
void tokens_recover(Parser *parser);
/* Whether the current token begins a line of its own although a bracket before it is open: the
 * bracket was forgotten, and recovery reads the line again as a statement. */
bool tokens_at_new_statement(const Parser *parser);
/* The ( or [ that encloses the current token, or NULL. */
const Token *tokens_enclosing(const Parser *parser);

/* --- syntax_error.c -------------------------------------------------------------------------- */

/* Reports one error; false if there were too many and it was dropped. */
bool parse_error(Parser *parser, Span span, const char *format, ...) NND_PRINTF(3, 4);
/* Reports that the current token is none of the `count` expected ones (named as in the grammar). */
void syntax_error(Parser *parser, const char *const *expected, int count);
/* The source text of a span within one line. */
const char *span_text(const Parser *parser, Span span);

/* --- ast.c and ast_item.c: one constructor per production ------------------------------------ */

AstName ast_name_at(Span span, TokenValue word);
AstNames ast_names(Parser *p, AstNames names, AstName name);
AstExprs ast_exprs(Parser *p, AstExprs exprs, AstExpr *expr);
AstArgs ast_args(Parser *p, AstArgs args, AstArg arg);
AstSubs ast_subs(Parser *p, AstSubs subs, AstSub sub);
AstIndices ast_indices(Parser *p, AstIndices indices, AstIndex index);
AstDims ast_dims(Parser *p, AstDims dims, AstDim dim);
AstTypes ast_types(Parser *p, AstTypes types, AstType *type);
AstParams ast_params(Parser *p, AstParams params, AstParam param);
AstCarries ast_carries(Parser *p, AstCarries carries, AstCarry carry);
AstWhos ast_whos(Parser *p, AstWhos whos, AstWho who);
AstBlock ast_stmts(Parser *p, AstBlock block, AstStmt *stmt);
void ast_items(Parser *p, AstItem *item);

AstExpr *ast_number(Parser *p, Span span, TokenValue number);
AstExpr *ast_string(Parser *p, Span span, TokenValue string);
AstExpr *ast_bool(Parser *p, Span span, bool value);
AstExpr *ast_name(Parser *p, Span span, AstExprKind kind, TokenValue word);
AstExpr *ast_list(Parser *p, Span span, AstExprs elements);
AstExpr *ast_call(Parser *p, Span span, AstExpr *callee, AstArgs args);
AstExpr *ast_pipe(Parser *p, Span span, AstExpr *value, AstExpr *callee);
AstExpr *ast_cast(Parser *p, Span span, TokenValue base, AstExpr *arg);
AstExpr *ast_fold(Parser *p, Span span, TokenValue reduce, AstArgs args);
AstExpr *ast_subscript(Parser *p, Span span, AstExpr *base, AstSubs subs, AstExpr *outside);
AstExpr *ast_member(Parser *p, Span span, AstExpr *base, AstName name);
AstExpr *ast_unary(Parser *p, Span span, AstOp op, AstExpr *arg);
AstExpr *ast_binary(Parser *p, Span span, AstExpr *lhs, AstOp op, Span op_span, AstExpr *rhs);
AstExpr *ast_if(Parser *p, Span span, AstExpr *cond, AstExpr *then, AstExpr *otherwise);
AstExpr *ast_reduce(Parser *p, Span span, TokenValue reduce, AstIndices indices, AstExpr *where,
                    AstExpr *body);
AstExpr *ast_reducer(Parser *p, Span span, TokenValue word, bool is_cast);

/* Bounds and dimensions are numbers: reports a comparison, which is a slip. */
void ast_bound_check(Parser *p, const AstExpr *expr, const char *what);

AstArg ast_arg(Span span, TokenValue word, AstExpr *value);
AstIndex ast_index(Parser *p, AstName name, AstExpr *bound);
AstDim ast_dim(Parser *p, Span span, AstExpr *size);
AstType *ast_type(Parser *p, Span span, AstBase base, AstDims dims);

AstStmt *ast_assign(Parser *p, Span span, AstNames names, AstExprs values);
/* A statement of one name and one value; name, indices, type and value where the kind has them. */
AstStmt *ast_define(Parser *p, Span span, AstStmtKind kind, AstName name, AstIndices indices,
                    AstType *type, AstExpr *value);
/* A statement with a block; name and value where the kind has them. */
AstStmt *ast_nest(Parser *p, Span span, AstStmtKind kind, AstName name, AstExpr *value,
                  AstBlock body);
AstStmt *ast_for(Parser *p, Span span, AstName name, AstExpr *from, AstExpr *to, AstBlock body);
AstStmt *ast_if_stmt(Parser *p, Span span, AstExpr *cond, AstBlock body, AstBlock otherwise);
AstStmt *ast_scan(Parser *p, Span span, AstIndex index, bool reversed, AstCarries carries,
                  AstBlock body);
AstStmt *ast_return(Parser *p, Span span, AstExprs values);
AstStmt *ast_require(Parser *p, Span span, AstExpr *condition, Span at, TokenValue text);
AstStmt *ast_minimize(Parser *p, Span span, AstExpr *loss, AstWhos over, AstExpr *optimizer);

AstItem *ast_import(Parser *p, Span span, TokenValue path);
/* An item of a name and a value: const, load. */
AstItem *ast_value(Parser *p, Span span, AstItemKind kind, AstName name, AstExpr *value);
AstItem *ast_function(Parser *p, Span span, AstItemKind kind, AstName name, AstExpr *count,
                      AstParams params, AstTypes results, AstBlock body);
AstItem *ast_model_like(Parser *p, Span span, AstName name, AstName other);
AstItem *ast_block_item(Parser *p, Span span, AstItemKind kind, AstName name, AstNames on,
                        AstBlock body);
/* Reports a statement outside a body; NULL. */
AstItem *ast_stray(Parser *p, AstStmt *stmt);

/* --- parser.y -------------------------------------------------------------------------------- */

int nnd_yyparse(Parser *parser);

#endif
