/* parser.y -- the grammar of .nnd files, LALR(1) without conflicts.
 *
 * The tokens come from tokens.c, where line ends have become `;`; actions are one constructor of
 * ast.c each. Statements of functions, data and train blocks share one production, and ast.c checks
 * which may stand where: a misplaced one then gets a message of its own. After an error the parser
 * goes on behind the next `;`, or with the block that follows a broken head. */
%code requires {
#include "parse.h"
}

%code {
#define YYLLOC_DEFAULT(result, rhs, n)                                                             \
    (result) = (n) ? span_join(YYRHSLOC(rhs, 1), YYRHSLOC(rhs, n)) : span_end(YYRHSLOC(rhs, 0))
#define NOTHING ((AstName){0})
#define NO_INDICES ((AstIndices){0})

static Span span_end(Span span)
{
    span.line = span.end_line;
    span.col = span.end_col;
    return span;
}

static void yyerror(const Span *span, Parser *parser, const char *text);
}

%define api.pure full
%define api.prefix {nnd_yy}
%define api.token.prefix {TOK_}
%define api.value.type {Value}
%define api.location.type {Span}
%define parse.error custom
%define parse.lac full
%locations
%expect 0
%param {Parser *parser}

%token START_FILE "beginning of a file" START_EXPR "beginning of an expression"
%token YYEOF 0 "end of the file"
%token <token> NAME "name" NUMBER "number" STRING "string"
%token <token> REDUCE "reduction" QUANTIFIER "any or all" BASE "base type"
%token TRUE "true" FALSE "false"
%token IMPORT "import" CONST "const" FN "fn" LAYER "layer" MODEL "model" OPTIMIZER "optimizer"
%token FOR "for" IN "in" IF "if" THEN "then" ELSE "else" SCAN "scan" REVERSED "reversed"
%token RETURN "return" AND "and" OR "or" NOT "not" WHERE "where" OUTSIDE "outside"
%token <token> TRAIN "train" VALID "valid" TEST "test"
%token DATA "data" STATE "state" PARAM "param" FIT "fit" NEXT "next" YIELD "yield"
%token FEED "feed" REPORT "report" UPDATE "update" PHASE "phase" REPEAT "repeat" EVERY "every"
%token LOAD "load" REQUIRE "require" MINIMIZE "minimize"
%token ON "on" OVER "over" LIKE "like" USING "using" CARRY "carry"
%token EQ "==" NE "!=" LE "<=" GE ">=" LT "<" GT ">" PIPE "|>" ARROW "->" DOTS ".."
%token PLUS "+" MINUS "-" TIMES "*" DIVIDE "/" INT_DIVIDE "//" MODULO "%" POWER "^"
%token ASSIGN "=" LPAREN "(" RPAREN ")" LBRACKET "[" RBRACKET "]" LBRACE "{" RBRACE "}"
%token COMMA "," COLON ":" SEMICOLON ";" DOT "."

%left "or"
%left "and"
%precedence "not" QUANTIFIER
%nonassoc "==" "!=" "<" ">" "<=" ">="
%left "+" "-"
%precedence REDUCE
%left "*" "/" "//" "%"
%precedence NEGATE
%right "^"

%type <name> name split
%type <names> names on
%type <expr> expr conditional operation primary postfix outside count where
%type <exprs> exprs
%type <arg> arg
%type <args> args args1
%type <sub> sub
%type <subs> subs
%type <index> index
%type <indices> indices target_indices
%type <dim> dim
%type <dims> dims
%type <type> type type_opt
%type <types> types results
%type <param> param
%type <params> params params1
%type <carry> carry
%type <carries> carries carry_list
%type <who> who
%type <whos> over whos
%type <stmt> stmt if_stmt
%type <block> block stmts body otherwise
%type <item> item
%type <stmt_kind> stored assigned
%type <item_kind> function
%type <flag> reversed

%%

input
    : START_FILE items
    | START_EXPR expr ";" { parser->expr = $2; }
    ;

/* --- items ----------------------------------------------------------------------------------- */

items
    : %empty
    | items item { ast_items(parser, $2); }
    | items ";"
    ;

item
    : "import" STRING ";" { $$ = ast_import(parser, @$, $2); }
    | "const" name "=" expr ";" { $$ = ast_value(parser, @$, AST_CONST, $2, $4); }
    | "load" name "=" expr ";" { $$ = ast_value(parser, @$, AST_LOAD, $2, $4); }
    | function name "(" params ")" results body
        { $$ = ast_function(parser, @$, $1, $2, NULL, $4, $6, $7); }
    | "model" name count "(" params ")" results body
        { $$ = ast_function(parser, @$, AST_MODEL, $2, $3, $5, $7, $8); }
    | "model" name "like" name ";" { $$ = ast_model_like(parser, @$, $2, $4); }
    | "optimizer" name "(" params ")" block
        { $$ = ast_function(parser, @$, AST_OPTIMIZER, $2, NULL, $4, (AstTypes){0}, $6); }
    | "data" name block { $$ = ast_block_item(parser, @$, AST_DATA, $2, (AstNames){0}, $3); }
    | "train" name on block { $$ = ast_block_item(parser, @$, AST_TRAIN, $2, $3, $4); }
    | stmt { $$ = ast_stray(parser, $1); }
    ;

function
    : "fn" { $$ = AST_FN; }
    | "layer" { $$ = AST_LAYER; }
    ;

count
    : %empty { $$ = NULL; }
    | "[" expr "]" { $$ = $2; }
    ;

on
    : %empty { $$ = (AstNames){0}; }
    | "on" names { $$ = $2; }
    ;

params
    : %empty { $$ = (AstParams){0}; }
    | params1
    ;

params1
    : param { $$ = ast_params(parser, (AstParams){0}, $1); }
    | params1 "," param { $$ = ast_params(parser, $1, $3); }
    ;

param
    : name { $$ = (AstParam){$1, NULL, NULL}; }
    | name ":" type { $$ = (AstParam){$1, $3, NULL}; }
    | name "=" expr { $$ = (AstParam){$1, NULL, $3}; }
    | name ":" type "=" expr { $$ = (AstParam){$1, $3, $5}; }
    ;

results
    : %empty { $$ = (AstTypes){0}; }
    | "->" types { $$ = $2; }
    ;

types
    : type { $$ = ast_types(parser, (AstTypes){0}, $1); }
    | types "," type { $$ = ast_types(parser, $1, $3); }
    ;

body
    : "=" exprs ";" { $$ = ast_stmts(parser, (AstBlock){0}, ast_return(parser, @2, $2)); }
    | block
    ;

/* --- types ----------------------------------------------------------------------------------- */

type
    : BASE { $$ = ast_type(parser, @$, (AstBase)$1.word.which, (AstDims){0}); }
    | BASE "[" dims "]" { $$ = ast_type(parser, @$, (AstBase)$1.word.which, $3); }
    | "[" dims "]" { $$ = ast_type(parser, @$, AST_REAL, $2); }
    ;

type_opt
    : %empty { $$ = NULL; }
    | ":" type { $$ = $2; }
    ;

dims
    : dim { $$ = ast_dims(parser, (AstDims){0}, $1); }
    | dims "," dim { $$ = ast_dims(parser, $1, $3); }
    ;

dim
    : operation { $$ = ast_dim(parser, @$, $1); }
    | ".." NAME { $$ = (AstDim){.span = @$, .rest = $2.word.name}; }
    ;

/* --- statements ------------------------------------------------------------------------------ */

block
    : "{" stmts "}" { $$ = $2; }
    ;

stmts
    : %empty { $$ = (AstBlock){0}; }
    | stmts stmt { $$ = ast_stmts(parser, $1, $2); }
    | stmts ";"
    ;

stmt
    : names "=" exprs ";" { $$ = ast_assign(parser, @$, $1, $3); }
    | name "[" indices "]" "=" expr ";"
        { $$ = ast_define(parser, @$, AST_INDEX_DEF, $1, $3, NULL, $6); }
    | stored name type_opt "=" expr ";"
        { $$ = ast_define(parser, @$, $1, $2, NO_INDICES, $3, $5); }
    | assigned name target_indices "=" expr ";"
        { $$ = ast_define(parser, @$, $1, $2, $3, NULL, $5); }
    | "return" exprs ";" { $$ = ast_return(parser, @$, $2); }
    | "for" name "in" operation ".." operation block
        { $$ = ast_for(parser, @$, $2, $4, $6, $7); }
    | if_stmt
    | "scan" index reversed carries block { $$ = ast_scan(parser, @$, $2, $3, $4, $5); }
    | name ":" expr ";" { $$ = ast_define(parser, @$, AST_SETTING, $1, NO_INDICES, NULL, $3); }
    | "feed" name ":" type ";"
        { $$ = ast_define(parser, @$, AST_FEED, $2, NO_INDICES, $4, NULL); }
    | "update" name "=" expr ";"
        { $$ = ast_define(parser, @$, AST_UPDATE, $2, NO_INDICES, NULL, $4); }
    | "report" name "=" expr ";"
        { $$ = ast_define(parser, @$, AST_REPORT, $2, NO_INDICES, NULL, $4); }
    | "require" expr "," STRING ";" { $$ = ast_require(parser, @$, $2, @4, $4); }
    | "minimize" expr over "using" primary ";" { $$ = ast_minimize(parser, @$, $2, $3, $5); }
    | split block { $$ = ast_nest(parser, @$, AST_SPLIT, $1, NULL, $2); }
    | "repeat" expr block { $$ = ast_nest(parser, @$, AST_REPEAT, NOTHING, $2, $3); }
    | "every" expr block { $$ = ast_nest(parser, @$, AST_EVERY, NOTHING, $2, $3); }
    | "phase" name block { $$ = ast_nest(parser, @$, AST_PHASE, $2, NULL, $3); }
    | error ";" { yyerrok; $$ = NULL; }
    | error block otherwise { yyerrok; $$ = NULL; }
    ;

stored
    : "param" { $$ = AST_PARAM; }
    | "state" { $$ = AST_STATE; }
    ;

assigned
    : "fit" { $$ = AST_FIT; }
    | "next" { $$ = AST_SET_NEXT; }
    | "yield" { $$ = AST_YIELD; }
    ;

split
    : "train" { $$ = ast_name_at(@1, $1); }
    | "valid" { $$ = ast_name_at(@1, $1); }
    | "test" { $$ = ast_name_at(@1, $1); }
    ;

target_indices
    : %empty { $$ = NO_INDICES; }
    | "[" indices "]" { $$ = $2; }
    ;

if_stmt
    : "if" expr block otherwise { $$ = ast_if_stmt(parser, @$, $2, $3, $4); }
    ;

otherwise
    : %empty { $$ = (AstBlock){0}; }
    | "else" block { $$ = $2; }
    | "else" if_stmt { $$ = ast_stmts(parser, (AstBlock){0}, $2); }
    ;

reversed
    : %empty { $$ = false; }
    | "reversed" { $$ = true; }
    ;

carries
    : %empty { $$ = (AstCarries){0}; }
    | "carry" carry_list { $$ = $2; }
    ;

carry_list
    : carry { $$ = ast_carries(parser, (AstCarries){0}, $1); }
    | carry_list "," carry { $$ = ast_carries(parser, $1, $3); }
    ;

carry
    : name type_opt "=" expr { $$ = (AstCarry){$1, $2, $4}; }
    ;

over
    : %empty { $$ = (AstWhos){0}; }
    | "over" whos { $$ = $2; }
    ;

whos
    : who { $$ = ast_whos(parser, (AstWhos){0}, $1); }
    | whos "," who { $$ = ast_whos(parser, $1, $3); }
    ;

who
    : name { $$ = (AstWho){$1, NULL}; }
    | name "[" expr "]" { $$ = (AstWho){$1, $3}; }
    ;

indices
    : index { $$ = ast_indices(parser, NO_INDICES, $1); }
    | indices "," index { $$ = ast_indices(parser, $1, $3); }
    ;

index
    : name { $$ = ast_index(parser, $1, NULL); }
    | name "<" operation { $$ = ast_index(parser, $1, $3); }
    ;

names
    : name { $$ = ast_names(parser, (AstNames){0}, $1); }
    | names "," name { $$ = ast_names(parser, $1, $3); }
    ;

name
    : NAME { $$ = ast_name_at(@$, $1); }
    ;

/* --- expressions ----------------------------------------------------------------------------- */

exprs
    : expr { $$ = ast_exprs(parser, (AstExprs){0}, $1); }
    | exprs "," expr { $$ = ast_exprs(parser, $1, $3); }
    ;

expr
    : conditional
    | expr "|>" postfix { $$ = ast_pipe(parser, @$, $1, $3); }
    | expr "|>" REDUCE { $$ = ast_pipe(parser, @$, $1, ast_reducer(parser, @3, $3, false)); }
    | expr "|>" QUANTIFIER { $$ = ast_pipe(parser, @$, $1, ast_reducer(parser, @3, $3, false)); }
    | expr "|>" BASE { $$ = ast_pipe(parser, @$, $1, ast_reducer(parser, @3, $3, true)); }
    ;

conditional
    : operation
    | "if" expr "then" expr "else" conditional { $$ = ast_if(parser, @$, $2, $4, $6); }
    ;

operation
    : primary
    | REDUCE %prec "^" { $$ = ast_reducer(parser, @$, $1, false); }
    | QUANTIFIER %prec "^" { $$ = ast_reducer(parser, @$, $1, false); }
    | BASE { $$ = ast_reducer(parser, @$, $1, true); }
    | operation "or" operation { $$ = ast_binary(parser, @$, $1, AST_OR, @2, $3); }
    | operation "and" operation { $$ = ast_binary(parser, @$, $1, AST_AND, @2, $3); }
    | "not" operation { $$ = ast_unary(parser, @$, AST_NOT, $2); }
    | QUANTIFIER "[" indices where "]" operation %prec QUANTIFIER
        { $$ = ast_reduce(parser, @$, $1, $3, $4, $6); }
    | operation "==" operation { $$ = ast_binary(parser, @$, $1, AST_EQ, @2, $3); }
    | operation "!=" operation { $$ = ast_binary(parser, @$, $1, AST_NE, @2, $3); }
    | operation "<" operation { $$ = ast_binary(parser, @$, $1, AST_LT, @2, $3); }
    | operation ">" operation { $$ = ast_binary(parser, @$, $1, AST_GT, @2, $3); }
    | operation "<=" operation { $$ = ast_binary(parser, @$, $1, AST_LE, @2, $3); }
    | operation ">=" operation { $$ = ast_binary(parser, @$, $1, AST_GE, @2, $3); }
    | operation "+" operation { $$ = ast_binary(parser, @$, $1, AST_ADD, @2, $3); }
    | operation "-" operation { $$ = ast_binary(parser, @$, $1, AST_SUB, @2, $3); }
    | REDUCE "[" indices where "]" operation %prec REDUCE
        { $$ = ast_reduce(parser, @$, $1, $3, $4, $6); }
    | operation "*" operation { $$ = ast_binary(parser, @$, $1, AST_MUL, @2, $3); }
    | operation "/" operation { $$ = ast_binary(parser, @$, $1, AST_DIV, @2, $3); }
    | operation "//" operation { $$ = ast_binary(parser, @$, $1, AST_INT_DIV, @2, $3); }
    | operation "%" operation { $$ = ast_binary(parser, @$, $1, AST_MOD, @2, $3); }
    | "-" operation %prec NEGATE { $$ = ast_unary(parser, @$, AST_NEG, $2); }
    | operation "^" operation { $$ = ast_binary(parser, @$, $1, AST_POW, @2, $3); }
    ;

where
    : %empty { $$ = NULL; }
    | "where" expr { $$ = $2; }
    ;

primary
    : postfix
    | postfix "[" subs "]" "outside" outside { $$ = ast_subscript(parser, @$, $1, $3, $6); }
    ;

postfix
    : NUMBER { $$ = ast_number(parser, @$, $1); }
    | STRING { $$ = ast_string(parser, @$, $1); }
    | "true" { $$ = ast_bool(parser, @$, true); }
    | "false" { $$ = ast_bool(parser, @$, false); }
    | NAME { $$ = ast_name(parser, @$, AST_NAME, $1); }
    | "next" NAME { $$ = ast_name(parser, @$, AST_NEXT, $2); }
    | "(" expr ")" { $$ = $2; }
    | "[" exprs "]" { $$ = ast_list(parser, @$, $2); }
    | postfix "(" args ")" { $$ = ast_call(parser, @$, $1, $3); }
    | REDUCE "(" args ")" { $$ = ast_fold(parser, @$, $1, $3); }
    | QUANTIFIER "(" args ")" { $$ = ast_fold(parser, @$, $1, $3); }
    | BASE "(" expr ")" { $$ = ast_cast(parser, @$, $1, $3); }
    | postfix "[" subs "]" { $$ = ast_subscript(parser, @$, $1, $3, NULL); }
    | postfix "." name { $$ = ast_member(parser, @$, $1, $3); }
    ;

outside
    : NUMBER { $$ = ast_number(parser, @$, $1); }
    | NAME { $$ = ast_name(parser, @$, AST_NAME, $1); }
    | "-" NUMBER { $$ = ast_unary(parser, @$, AST_NEG, ast_number(parser, @2, $2)); }
    | "-" NAME { $$ = ast_unary(parser, @$, AST_NEG, ast_name(parser, @2, AST_NAME, $2)); }
    | "(" expr ")" { $$ = $2; }
    ;

args
    : %empty { $$ = (AstArgs){0}; }
    | args1
    ;

args1
    : arg { $$ = ast_args(parser, (AstArgs){0}, $1); }
    | args1 "," arg { $$ = ast_args(parser, $1, $3); }
    ;

arg
    : expr { $$ = ast_arg(@$, (TokenValue){0}, $1); }
    | NAME "=" expr { $$ = ast_arg(@1, $1, $3); }
    ;

subs
    : sub { $$ = ast_subs(parser, (AstSubs){0}, $1); }
    | subs "," sub { $$ = ast_subs(parser, $1, $3); }
    ;

sub
    : expr { $$ = (AstSub){.span = @$, .index = $1}; }
    | ":" { $$ = (AstSub){.span = @$, .slice = true}; }
    | expr ":" { $$ = (AstSub){.span = @$, .slice = true, .from = $1}; }
    | ":" expr { $$ = (AstSub){.span = @$, .slice = true, .to = $2}; }
    | expr ":" expr { $$ = (AstSub){.span = @$, .slice = true, .from = $1, .to = $3}; }
    ;

%%

/* Called where the parser's stack is full, which deep nesting alone can do. */
static void yyerror(const Span *span, Parser *parser, const char *text)
{
    (void)text;
    parse_error(parser, *span, "this is nested too deeply");
}

/* Hands the token found and those that could stand in its place to syntax_error. */
static int yyreport_syntax_error(const yypcontext_t *place, Parser *parser)
{
    yysymbol_kind_t kinds[YYNTOKENS];
    const char *names[YYNTOKENS];
    int count = yypcontext_expected_tokens(place, kinds, YYNTOKENS);
    if (count < 0) return count;
    for (int i = 0; i < count; i++)
        names[i] = yysymbol_name(kinds[i]);
    syntax_error(parser, names, count);
    return 0;
}
