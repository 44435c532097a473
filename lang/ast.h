/* ast.h -- the syntax tree of a .nnd file, as the parser builds it: what was written, where.
 *
 * Nothing is resolved here: names are names, `x |> f(a)` has become the call f(x, a). The parser's
 * actions are one constructor call each (ast.c). Every node has the span of its text. */
#ifndef NND_AST_H
#define NND_AST_H

#include "base.h"

typedef struct AstExpr AstExpr;
typedef struct AstStmt AstStmt;
typedef struct AstItem AstItem;
typedef VEC(AstExpr *) AstExprs;
typedef VEC(AstStmt *) AstBlock;
typedef VEC(AstItem *) AstItems;

/* A name where it stands. */
typedef struct AstName {
    Name name;
    Span span;
} AstName;
typedef VEC(AstName) AstNames;

/* --- expressions ----------------------------------------------------------------------------- */

typedef enum AstExprKind {
    AST_NUMBER,
    AST_STRING,
    AST_BOOL,
    AST_NAME,      /* x */
    AST_NEXT,      /* next x */
    AST_LIST,      /* [a, b] */
    AST_CALL,      /* f(a, k = b); callee is any primary; x |> f(a) is f(x, a) with `piped` */
    AST_CAST,      /* real(x), int(x), bool(x), u8(x) */
    AST_FOLD,      /* max(x), max(a, b), sum(x): a reduction's name called with parentheses */
    AST_SUBSCRIPT, /* x[i, 1:3] outside 0 */
    AST_MEMBER,    /* b.image */
    AST_UNARY,     /* -x, not x */
    AST_BINARY,
    AST_IF,        /* if c then a else b */
    AST_REDUCE,    /* sum[i, j < n where c] body */
    AST_REDUCER    /* the bare name of a reduction or cast as an argument: pool(x, reduce = max) */
} AstExprKind;

typedef enum AstOp {
    AST_ADD, AST_SUB, AST_MUL, AST_DIV, AST_INT_DIV, AST_MOD, AST_POW,
    AST_EQ, AST_NE, AST_LT, AST_GT, AST_LE, AST_GE,
    AST_AND, AST_OR, AST_NOT, AST_NEG
} AstOp;

typedef enum AstReduce {
    AST_SUM, AST_MEAN, AST_PROD, AST_MAX, AST_MIN, AST_ARGMAX, AST_ARGMIN, AST_ANY, AST_ALL
} AstReduce;

typedef enum AstBase { AST_REAL, AST_INT, AST_BASE_BOOL, AST_U8 } AstBase;

/* An argument of a call: NAME = value, or value alone (name NULL). */
typedef struct AstArg {
    Name name;
    Span span; /* of the name, or of the value */
    AstExpr *value;
} AstArg;
typedef VEC(AstArg) AstArgs;

/* A subscript: an expression, or a slice from:to with either end optional. */
typedef struct AstSub {
    Span span;
    bool slice;
    AstExpr *index;     /* if not a slice */
    AstExpr *from, *to; /* if a slice; NULL: to the end of the axis */
} AstSub;
typedef VEC(AstSub) AstSubs;

/* An index: NAME, or NAME < bound. */
typedef struct AstIndex {
    Name name;
    Span span;      /* of the name */
    AstExpr *bound; /* NULL: inferred */
} AstIndex;
typedef VEC(AstIndex) AstIndices;

enum { AST_DEPTH_MAX = 1000 };

struct AstExpr {
    AstExprKind kind;
    int depth; /* of the tree: 1 for a leaf, at most AST_DEPTH_MAX, so that walks may recurse */
    Span span;
    union {
        struct { double value; bool is_int; } number; /* an int if without point and exponent */
        struct { const char *text; size_t len; } string; /* escapes resolved */
        bool boolean;
        Name name; /* NAME and NEXT */
        AstExprs list;
        struct { AstExpr *callee; AstArgs args; bool piped; } call;
        struct { AstBase base; AstExpr *arg; } cast;
        struct { AstReduce reduce; AstArgs args; bool piped; } fold;
        struct { AstExpr *base; AstSubs subs; AstExpr *outside; } subscript; /* outside or NULL */
        struct { AstExpr *base; AstName name; } member;
        struct { AstOp op; AstExpr *arg; } unary;
        struct { AstOp op; AstExpr *lhs, *rhs; Span op_span; } binary;
        struct { AstExpr *cond, *then, *otherwise; } cond;
        struct { AstReduce reduce; AstIndices indices; AstExpr *where, *body; } reduce;
        struct { bool is_cast; AstReduce reduce; AstBase base; } reducer;
    };
};

/* --- types and parameters -------------------------------------------------------------------- */

typedef struct AstDim {
    Span span;
    Name bounded;   /* NAME <= size */
    Name rest;      /* ..NAME */
    AstExpr *size;  /* NULL only for ..NAME */
} AstDim;
typedef VEC(AstDim) AstDims;

typedef struct AstType {
    Span span;
    AstBase base;   /* real if only dimensions are written */
    AstDims dims;
} AstType;
typedef VEC(AstType *) AstTypes;

typedef struct AstParam {
    AstName name;
    AstType *type;     /* NULL: a compile-time value */
    AstExpr *fallback; /* the default, or NULL */
} AstParam;
typedef VEC(AstParam) AstParams;

/* --- statements: of functions, of data blocks and of train blocks ---------------------------- */

typedef enum AstStmtKind {
    AST_ASSIGN,    /* names = values: either one value with several results, or as many as names */
    AST_INDEX_DEF, /* name[indices] = value */
    AST_PARAM,     /* param name: type = value */
    AST_STATE,     /* state name: type = value */
    AST_FIT,       /* fit target = value */
    AST_SET_NEXT,  /* next target = value */
    AST_YIELD,     /* yield target = value */
    AST_FOR,
    AST_IF_STMT,
    AST_SCAN,
    AST_RETURN,
    AST_REQUIRE,   /* require value, "text" */
    /* in data and train blocks */
    AST_SETTING,   /* name: value */
    AST_FEED,      /* feed name: type */
    AST_SPLIT,     /* train { }, valid { }, test { }: name and body */
    AST_MINIMIZE,
    AST_UPDATE,    /* update name = value */
    AST_REPORT,    /* report name = value */
    AST_REPEAT,    /* repeat value { } */
    AST_EVERY,     /* every value { } */
    AST_PHASE      /* phase name { } */
} AstStmtKind;

/* A carry of a scan: NAME: type = value. */
typedef struct AstCarry {
    AstName name;
    AstType *type; /* or NULL */
    AstExpr *value;
} AstCarry;
typedef VEC(AstCarry) AstCarries;

/* over A, Net[2] */
typedef struct AstWho {
    AstName name;
    AstExpr *index; /* or NULL */
} AstWho;
typedef VEC(AstWho) AstWhos;

struct AstStmt {
    AstStmtKind kind;
    Span span;
    AstNames names;     /* ASSIGN: the targets; else: one name, where there is one */
    AstIndices indices; /* INDEX_DEF; FIT, NEXT, YIELD where written; SCAN: its one index */
    AstType *type;      /* PARAM, STATE, FEED; or NULL */
    AstExprs values;    /* ASSIGN, RETURN: all; else one, where there is one; FOR: from, to;
                           IF_STMT: the condition; REQUIRE: it and the text;
                           MINIMIZE: the loss, then the optimizer */
    AstBlock body;      /* FOR, IF_STMT (then), SCAN, SPLIT, REPEAT, EVERY, PHASE */
    AstBlock otherwise; /* IF_STMT: else; `else if` is a block of one IF_STMT */
    bool reversed;      /* SCAN */
    AstCarries carries; /* SCAN */
    AstWhos over;       /* MINIMIZE */
};

/* --- items: what a file consists of ---------------------------------------------------------- */

typedef enum AstItemKind {
    AST_IMPORT,     /* import "path": text */
    AST_CONST,      /* const name = value */
    AST_FN,
    AST_LAYER,
    AST_MODEL,      /* with body; count: Net[5] or NULL */
    AST_MODEL_LIKE, /* model name like other */
    AST_LOAD,       /* load name = value */
    AST_OPTIMIZER,
    AST_DATA,
    AST_TRAIN       /* on: the data sets' names */
} AstItemKind;

struct AstItem {
    AstItemKind kind;
    Span span;          /* of the whole item */
    const char *doc;    /* the comment lines just above, without '#', or NULL */
    AstName name;
    const char *path;   /* IMPORT */
    AstExpr *value;     /* CONST, LOAD; `= expr` bodies are a block of one RETURN instead */
    AstExpr *count;     /* MODEL: Net[count] */
    AstName other;      /* MODEL_LIKE */
    AstParams params;
    AstTypes results;   /* declared result types; none: not declared */
    AstBlock body;
    AstNames on;        /* TRAIN */
};

typedef struct AstFile {
    const Source *source;
    AstItems items;
} AstFile;

/* Parses a source. Syntax errors are reported as diagnostics; what could be recovered is returned,
 * never NULL. */
AstFile *parse_file(Context *context, const Source *source);
/* Parses one expression, for tables and examples; NULL after a syntax error. */
AstExpr *parse_expr(Context *context, const Source *source);

/* --- printing -------------------------------------------------------------------------------- */

/* Writes an expression with as few parentheses as possible; what is written parses to the same
 * tree. */
void ast_expr_print(StrBuf *out, const AstExpr *expr);
const char *ast_op_text(AstOp op);             /* "+", "and", ... */
const char *ast_reduce_text(AstReduce reduce); /* "sum", ... */
const char *ast_base_text(AstBase base);       /* "real", ... */

/* --- walking (ast_walk.c) --- */

/* Visits every expression, parents before children, in the order of the tree. */
typedef void (*AstVisit)(void *data, const AstExpr *x);
void ast_walk_expr(const AstExpr *x, AstVisit visit, void *data);
void ast_walk_block(const AstBlock *block, AstVisit visit, void *data);
/* Defaults of parameters, then the body. */
void ast_walk_item(const AstItem *item, AstVisit visit, void *data);

#endif
