/* elaborate.h -- the inside of elaboration, from syntax to graphs; for elaborate*.c only.
 *
 * The idea: a run-time value is a Scalar, a formula for one element, over two groups of iterators:
 * context axes (0, 1, ...: the axes that the current calls are mapped over, then the indices in scope)
 * and visible axes (VISIBLE + k: the value's own axes). Operators combine formulas; a subscript
 * substitutes an iterator; lifting turns leading visible axes into context axes at a call and back at
 * its return; an index definition pushes its indices as context axes and then makes them visible.
 * Where a value gets a name, its formula becomes a node (value_node), so that it is computed once. */
#ifndef NND_ELABORATE_H
#define NND_ELABORATE_H

#include "ast.h"
#include "program.h"

enum { VISIBLE = 32, MAX_CONTEXT = 31 };

typedef struct Elab Elab;
typedef struct Frame Frame;
typedef struct Scope Scope;
typedef struct Function Function;
typedef struct Value Value;

/* --- values (value.c) ------------------------------------------------------------------------------- */

typedef enum ValueKind {
    VALUE_ERROR, /* a mistake was reported already: what follows from it stays silent */
    VALUE_TENSOR,/* a formula; a compile-time number is a constant formula of rank 0 */
    VALUE_STRING,
    VALUE_LIST,  /* compile-time list */
    VALUE_FUNCTION,
    VALUE_DATA   /* a data set */
} ValueKind;

struct Value {
    ValueKind kind;
    const Scalar *scalar; /* TENSOR */
    int rank;
    Extent shape[MAX_RANK];
    int64_t max;          /* TENSOR: if it is the run-time size of an axis, its bound; else 0 */
    const char *text;     /* STRING */
    Value *items;         /* LIST */
    int n_items;
    const Function *function;
    DataSet *data;
};

Value value_error(void);
Value value_scalar(const Scalar *scalar);
Value value_int(Elab *e, int64_t number);
Value value_bool(Elab *e, bool truth);
/* The extent of an axis as a value: a number, or a run-time int that can bound an index. */
Value value_extent(Elab *e, Extent extent);
/* All axes of a node visible. */
Value value_of_node(Elab *e, const Node *node);
bool value_is_number(const Value *v);                  /* a compile-time number or truth value */
bool value_is_int(const Value *v, int64_t *out);       /* a compile-time int */
ElemType value_type(const Value *v);
/* "u8[28, 28]", "the number 3", "the function relu", for messages. */
const char *value_describe(Elab *e, const Value *v);
const char *extent_describe(Elab *e, Extent extent);
/* The value as a tensor (a list is stacked); false and an error if it cannot be one. */
bool value_tensor(Elab *e, Value *v, Span span);
/* Converts the elements; reports what the language does not convert. */
bool value_convert(Elab *e, Value *v, ElemType type, Span span);
/* The type that a type's first word names. */
ElemType type_of_base(AstBase base);
/* The type in which operands meet: arithmetic makes ints of bools and bytes. */
ElemType type_join(ElemType a, ElemType b);
ElemType type_arithmetic(ElemType a, ElemType b);
/* The value over the given context axes and its own, as a node; NULL, after a report, if it cannot be. */
const Node *value_node_over(Elab *e, const Value *v, uint64_t axes, Span span);
/* A value over the context axes it depends on, as a node; `hidden` receives those axes. */
const Node *value_node(Elab *e, const Value *v, uint64_t *hidden, Span span);
/* A node whose leading axes are the context axes in `hidden`, as a value. */
Value value_of_hidden(Elab *e, const Node *node, uint64_t hidden);
/* The value computed once: its formula becomes the load of a node. Constants stay. */
Value value_settle(Elab *e, const Value *v, Name name, Span span);
/* Elementwise: the operands' formulas under op, of equal shapes or scalars. */
Value value_op(Elab *e, Op op, const Value *args, int n_args, Span span);
/* The pieces joined along visible axis `axis`. */
Value value_concat(Elab *e, Value *parts, int n_parts, int axis, Span span);
/* The values stacked on a new leading axis. */
Value value_stack(Elab *e, Value *parts, int n_parts, Span span);
/* reduce over the context axes in `over` (each once, ascending) and, if `visible`, all visible axes. */
Value value_reduce(Elab *e, Reduce reduce, uint64_t over, const Value *body, const Scalar *guard,
                   int first_visible, Span span);
Value value_reshape(Elab *e, const Value *v, int rank, const Extent *shape, Span span);
bool shapes_same(const Value *a, const Value *b);
/* Whether a tensor of this shape can be: it has at most 16 axes and 2^40 elements. If not, says so, once. */
bool shape_fits(Elab *e, int rank, const Extent *shape, Span span);

/* --- functions and scopes ------------------------------------------------------------------------------ */

typedef Value (*Builtin)(Elab *e, Frame *f, const AstExpr *call, const AstArgs *args);

typedef struct ModelInstance {
    Model *model;
    const AstItem *item; /* whose body it has */
    Value *first_args;   /* of its first call: fixes sizes that its signature leaves open */
    int n_first_args;
    bool declaring;      /* its parameters are being made for someone who reads them */
} ModelInstance;

typedef enum FunctionKind {
    FUNCTION_FN, FUNCTION_LAYER, FUNCTION_MODEL, FUNCTION_MODELS, /* an array Net[5] */
    FUNCTION_OPTIMIZER, FUNCTION_BUILTIN, FUNCTION_OPERATOR, FUNCTION_REDUCTION, FUNCTION_CAST
} FunctionKind;

struct Function {
    FunctionKind kind;
    Name name;
    const AstItem *item;
    const Scope *scope;   /* where the names of its body are looked up */
    ModelInstance *model; /* MODEL */
    Function **members;   /* MODELS */
    int n_members;
    Builtin builtin;
    Op op;                /* OPERATOR, CAST */
    Reduce reduce;        /* REDUCTION */
};

/* The names of one file (or of the library, or the builtins). */
struct Scope {
    const Source *source;
    const char *folder;   /* that relative paths start from */
    Map names;            /* Name -> Definition */
    VEC(const Scope *) imports;
    const Scope *outer;   /* a file's: the library; the library's: the builtins */
    bool library;
};

typedef struct Definition {
    Name name;
    Span span;
    const AstItem *item;
    Function *function;
    DataSet *data;
    Scope *scope;
    int state;            /* consts: 0 not evaluated, 1 being evaluated, 2 done */
    Value value;
} Definition;

const Definition *scope_find(const Scope *scope, Name name);

/* --- frames: the elaboration of one body ------------------------------------------------------------------ */

/* A context axis. */
typedef struct Axis {
    Extent extent;
    Name name;       /* of the index, or NULL for a mapped axis */
} Axis;

/* An index in scope. */
typedef struct IndexVar {
    Name name;
    Span span;
    int axis;        /* its context axis */
    bool decided;
    Extent extent;
    const AstExpr *from; /* the subscript whose axis decided; NULL: a bound or a limit did */
} IndexVar;

/* What is decided about the indices of the statement being elaborated. */
typedef struct RangeTable {
    Map extents;     /* reduce expression -> Extent array */
    Map bases;       /* base expression -> Value, evaluated before the statement */
} RangeTable;

typedef struct Local {
    Name name;
    Span span;
    bool bound;
    Value value;
    bool is_index_bound;
    Persistent *state;      /* a state or fit of this body: what `next` sets */
    const Persistent *declared; /* what `param` declared under this name */
    Value next;             /* its new value */
    bool has_next;
    const Node *tag;        /* what grad differentiates by */
    uint64_t tag_hidden;
} Local;

typedef enum FrameKind { FRAME_BODY, FRAME_OPTIMIZER, FRAME_TRAIN, FRAME_DATA, FRAME_CONST } FrameKind;

struct Frame {
    FrameKind kind;
    Frame *caller;
    const Function *function; /* or NULL */
    const AstItem *item;    /* whose body it is */
    const Scope *scope;
    Map locals;             /* Name -> Local */
    VEC(Local *) order;     /* in order of first binding */
    VEC(IndexVar *) indices;/* in scope, innermost last */
    RangeTable *ranges;
    int base;               /* context axes below this one are those of the calls: `each` */
    bool training;
    bool in_fit;
    Name path;              /* of parameters made here, or NULL where there are none */
    ModelInstance *model;
    VEC(int64_t) loops;     /* values of the enclosing unrolled loops */
    uint64_t site;          /* of draws: hash of the call path */
    bool returned;
    bool refused;           /* a `require` does not hold: nothing more is elaborated */
    int choices;            /* enclosing run-time ifs */
    Value *results;
    int n_results;
    Span return_span;
    int errors;             /* reported before it began */
    Span call_span;
    /* optimizer */
    const char *optimizer_path;
    const Node *parameter;
    Persistent *target;
    Value next_parameter;
    bool has_next_parameter;
};

/* --- scans (elaborate_scan.c) ------------------------------------------------------------------------------- */

/* A value carried from step to step: by a name, or of a state that the body reads or sets. */
typedef struct Carried {
    Name name;
    const Persistent *state; /* or NULL */
    Value value;            /* before the step */
    const Node *leaf, *init;
    bool has_next;
    Value next;
    const Node *next_node;  /* over all context axes */
    bool stays;             /* found to be its initial value at every step */
    int position;           /* among the scan's carries */
} Carried;

typedef struct Yielded {
    AstName name;
    Value value;
} Yielded;

/* A scan whose body is being elaborated. */
typedef struct Scan {
    struct Scan *outer;     /* of this body, or of one that called it */
    const Frame *frame;     /* whose body it stands in */
    const Loop *loop;
    Extent extent;
    const Scalar *length;   /* the steps that an instance takes, over context axes; NULL: all do the same */
    VEC(Carried *) carried;
    VEC(Yielded) yields;
} Scan;

/* --- the elaborator ------------------------------------------------------------------------------------------ */

typedef struct Pool Pool; /* elaborate_fit.c: the calls of a fit, and one of them */
typedef struct FitCall FitCall;

/* One entry being elaborated: the current values of what is kept. */
typedef struct Session {
    Map current;            /* Persistent -> Node: its value now, if changed */
    VEC(Persistent *) changed;
    Map owner;              /* Node -> Persistent: its values in this entry, now and before */
    bool step;              /* whether states may be changed */
    bool report;            /* of a train block */
    Span last_change;       /* the last minimize */
    VEC(Pool *) fits;       /* met, in order of their first calls */
    bool init;              /* an initial value: no data, no parameters */
    bool chunks;            /* its examples come in chunks: LEAF_OFFSET is the number of the first */
} Session;

typedef struct Load Load; /* elaborate_load.c */

struct Elab {
    Context *context;
    Graph *g;
    Arena *arena;
    Program *program;
    const ElaborateOptions *options;
    Scope *builtins, *library, *main;
    VEC(Scope *) files;
    VEC(Axis) axes;         /* the context */
    Session *session;
    Map persistents;        /* path -> Persistent */
    Map bodies;             /* AstItem -> BodyInfo */
    Map reached;            /* AstItem -> itself: a body that was elaborated */
    Map functions;          /* names of reductions and casts as values -> Function */
    Map fitted;             /* Persistent -> itself: computed by an earlier train block */
    VEC(Load *) loads;
    FitCall *fit;           /* whose value is being computed for a train block, or NULL */
    VEC(Function *) model_functions; /* of every model, in order */
    const Node *size_leaf, *step_leaf, *epoch_leaf;
    Train *train;           /* being elaborated */
    int depth;              /* of calls */
    Scan *scan;             /* the innermost, or NULL */
    const Scalar *taken;    /* whether the branches around are; NULL: always */
    const char *constant;   /* "the constant `A`": what is being evaluated and must be known when compiling, or NULL */
    bool initialising;      /* an initial value or data: draws do not depend on the step */
    Map overrides;          /* Setting -> Value: what --set said, elaborated once */
    int64_t rounds;         /* of loops, in all, in this entry */
    bool unfit;             /* a tensor that cannot be was reported */
};

/* elaborate.c */
Extent elab_batch(Elab *e, int64_t max);
Function *function_new(Elab *e, FunctionKind kind, Name name);
const Definition *definition_find(Elab *e, const Scope *scope, AstName name);
Session *session_new(Elab *e, bool step);
Frame *frame_new(Elab *e, FrameKind kind, const Scope *scope);
bool setting_override(Elab *e, Name name, Value *out);

/* elaborate_load.c: `load NAME = archive` */
void load_open(Elab *e, const Scope *scope, const AstItem *item);
/* Gives what is kept its initial value from the archive of its model; false if it has none there. */
bool load_initial(Elab *e, Persistent *p);
/* Says what is missing in the archives, or too much. */
void loads_check(Elab *e);

/* elaborate_axes.c: axes between the context, values and nodes */

/* The extent with the axes that its size depends on renumbered: map[i] stands for axis i. */
Extent extent_renumber(Elab *e, Extent extent, const Scalar *const *map);
/* Whether two axes of a value, or of the context, are the same: fixed and equal, or of the same run-time size. */
bool extents_agree(Extent a, Extent b);
/* With every context axis those that its size depends on. */
uint64_t axes_closed(const Elab *e, uint64_t axes);
/* The context axes that the value depends on, in its formula or in the sizes of its axes. */
uint64_t value_context(const Elab *e, const Value *v);

/* The domain of a node under construction: its iterators, and which one stands for which axis. */
typedef struct Domain {
    const Scalar *map[VISIBLE + MAX_RANK];
    Extent iters[MAX_CONTEXT + MAX_RANK];
    int n;
} Domain;
void domain_context(Elab *e, Domain *d, uint64_t axes);
void domain_visible(Elab *e, Domain *d, const Value *v, int from, int to);
const Scalar *domain_scalar(Elab *e, const Domain *d, const Scalar *a);
/* node[subs], its axes from `leading` on visible; subs has room for all of them. */
Value value_of_subscripts(Elab *e, const Node *node, const Scalar **subs, int leading);

/* The formula with its iterators replaced; if it is an element of a tensor, it is the one asked for at `span`. */
const Scalar *element_at(Elab *e, const Scalar *a, const Scalar *const *map, Span span);

/* Whether n more context axes fit; reports if not. */
bool axes_room(Elab *e, int n, Span span);
/* Pushes context axes, or the first n visible ones of a value; pops them, turning them into leading visible axes
 * of v (an error value, after a report, if these are too many). */
int axes_push(Elab *e, Extent extent, Name name);
void axes_push_visible(Elab *e, const Value *v, int n);
Value axes_pop(Elab *e, int first, const Value *v, Span span);
/* The value with its leading visible axes turned into the context axes from `first` on. */
Value axes_lower(Elab *e, const Value *v, int extra, int first);
/* The hint for two axes that should be the same, if one of them has a run-time size. */
bool axes_differ_hint(Elab *e, Extent a, Extent b);

/* elaborate_expr.c */
Value eval_expr(Elab *e, Frame *f, const AstExpr *x);
/* All results of a call; other expressions have one. */
int eval_results(Elab *e, Frame *f, const AstExpr *x, Value *out, int max);
/* A compile-time int; false and an error that begins with `what` otherwise. */
bool eval_int(Elab *e, Frame *f, const AstExpr *x, const char *what, int64_t *out);
Value eval_member(Elab *e, Frame *f, const AstExpr *x);
/* The present value of the parameter that is meant, Net.dense1.w; or NULL. */
const Node *member_parameter(Elab *e, Frame *f, const AstExpr *x);
/* M.w[3], the parameter that round 3 of a loop declared; false if x is nothing like that. */
bool eval_round_member(Elab *e, Frame *f, const AstExpr *x, Value *out);
/* The source of an expression in quotes; "this" if it is long. */
const char *expr_text(Elab *e, const AstExpr *x);
const char *quoted_text(Elab *e, Span span);
/* The source between the ends of a span, or `otherwise` if it is long. */
const char *place_text(Elab *e, Span span, const char *otherwise);

/* elaborate_index.c */
/* The index name in scope, or NULL. */
IndexVar *index_find(const Frame *f, Name name);
Value eval_subscript(Elab *e, Frame *f, const AstExpr *x);
Value eval_reduce(Elab *e, Frame *f, const AstExpr *x);
/* name[indices] = value, as a tensor with one axis per index. */
Value eval_index_def(Elab *e, Frame *f, const AstIndices *indices, const AstExpr *value);
/* body_info.c: what is known of a body from its text */
typedef struct BodyInfo {
    Map ordinals;           /* call expression -> OrdinalBox */
    Map differentiated;     /* names that stand as grad's second argument */
} BodyInfo;
const BodyInfo *body_info(Elab *e, const AstItem *item);
/* How many calls written with the same name stand before this one in the body, plus one. */
int call_ordinal(Elab *e, const AstItem *item, const AstExpr *call);
/* The hash of a place in the call path: the so-manieth of this name in the frame's body, and the rounds of loops
 * around it. Layout and other bodies do not matter: what is drawn stays the same when they are edited. */
uint64_t site_hash(Elab *e, const Frame *f, const char *name, int ordinal);
uint64_t call_site(Elab *e, const Frame *f, const AstExpr *call);

/* elaborate_call.c */
int eval_call(Elab *e, Frame *f, const AstExpr *call, Value *out, int max);
/* Arguments after evaluation: positional ones have no name. */
typedef struct CallArg {
    Name name;
    Span span;
    Value value;
} CallArg;
int call_function(Elab *e, Frame *f, const Function *function, const AstExpr *call,
                  const CallArg *args, int n_args, Value *out, int max);
/* What is made from now on belongs to this call, if it leads from the user's text into the library; returns what
 * graph_call restores. */
int library_enter(Elab *e, const Frame *f, const Function *function, Span place);
/* Evaluates the arguments of a call; false after an error. */
bool eval_args(Elab *e, Frame *f, const AstArgs *args, CallArg **out);
/* The context axes of a call's mapping and the shapes of parameters, from a type. */
bool type_shape(Elab *e, Frame *f, const AstType *type, int *rank, Extent *shape);

/* elaborate_bind.c */
/* The callee's parameters get their values: maps over extra leading axes, binds dimensions, evaluates
 * defaults. `e->axes` grows by the mapped axes. False after an error. */
bool params_bind(Elab *e, Frame *callee, const AstItem *item, const CallArg *args, int n_args,
                 Span call_span);
/* Checks a result against its declared type. */
bool result_check(Elab *e, Frame *f, const AstType *type, Value *v, Span span);

/* builtins.c */
Value fold_value(Elab *e, Reduce reduce, const Value *args, int n_args, Span span);
void builtins_define(Elab *e, Scope *scope);

/* elaborate_grad.c */
Value eval_grad(Elab *e, Frame *f, const AstExpr *call, const AstArgs *args);

/* elaborate_stmt.c */
void exec_block(Elab *e, Frame *f, const AstBlock *block);
void exec_stmt(Elab *e, Frame *f, const AstStmt *s);
/* Runs branch(data, true), then branch(data, false) from the same start; afterwards names, what is returned and
 * what is kept are chosen by the condition, which is known at run time. */
void exec_branches(Elab *e, Frame *f, const Value *cond, Span span,
                   void (*branch)(void *data, bool then), void *data);
Local *local_bind(Elab *e, Frame *f, AstName name, const Value *value);
Local *local_find(const Frame *f, Name name);
/* Whether the name stands as grad's second argument in the frame's body. */
bool name_differentiated(Elab *e, const Frame *f, Name name);

/* What a body has bound so far. */
typedef struct Snapshot {
    Local *locals;
    int n;
    bool returned;
    Value *results;
    int n_results;
    Carried *carried;       /* of the scan that the body is in */
    int n_carried;
    Yielded *yields;
    int n_yields;
    const Node **kept; /* values of the kept tensors changed so far, in the session's order */
    int n_kept;
    const Node **states; /* of the innermost scan's carries, where they are states */
    int n_states;
    Value next_parameter; /* of an optimizer */
    bool has_next_parameter;
} Snapshot;
Snapshot snapshot_take(Elab *e, const Frame *f);
void snapshot_restore(Elab *e, Frame *f, const Snapshot *s);

/* elaborate_require.c */
void exec_require(Elab *e, Frame *f, const AstStmt *s);

/* elaborate_scan.c */
void exec_scan(Elab *e, Frame *f, const AstStmt *s);
void exec_yield(Elab *e, Frame *f, const AstStmt *s);
/* `next` of a carry; false if there is none of that name. */
bool exec_carry_next(Elab *e, Frame *f, const AstStmt *s);
/* The innermost scan if it stands in this very body, or NULL. */
Scan *scan_here(const Elab *e, const Frame *f);
/* The carry of this name of a scan in this body around this place, or NULL. */
Carried *scan_carried(const Elab *e, const Frame *f, Name name);
/* Whether a scan around this place has yielded the name. */
bool scan_yields(const Elab *e, const Frame *f, Name name);
/* How a state stands at this place of the innermost scan's body, which carries it from now on. */
Carried *scan_state(Elab *e, const Persistent *p);
/* The number of the step, of all steps of this and the outer scans. */
const Scalar *scan_position(const Elab *e, const Scan *scan);

/* elaborate_choice.c: choices at run time */

/* Goes into a branch of a choice; the result is what e->taken has to become again behind it. */
const Scalar *choice_enter(Elab *e, const Value *cond, bool then);
/* The value, or another one where the branch is not taken: of what can fail. */
const Scalar *choice_guard(Elab *e, const Scalar *value, double other);
/* The branch's value where the condition holds, or not. */
Value value_taken(Elab *e, const Value *cond, const Value *branch, bool then);
/* The one or the other, element by element. */
Value value_choose(Elab *e, const Value *cond, const Value *then, const Value *otherwise, Span span);

/* elaborate_steps.c: scans over bounded axes */

/* Whether an instance takes the step of this and the outer scans; NULL: all do. */
const Scalar *scan_taken(Elab *e, const Scan *scan);
/* The formula of a value that gets a name: zero in steps that an instance does not take. */
const Scalar *step_value(Elab *e, const Value *v);
/* How a subscript reads in a step that an instance may not take. */
typedef enum StepRead {
    STEP_PLAIN,  /* as anywhere */
    STEP_INSIDE, /* inside its axis in all steps that are taken */
    STEP_CHECKED /* to be checked in these */
} StepRead;
StepRead step_read(Elab *e, const Scalar *sub, Extent axis, const Extent *iters, int n);
/* The load, zero in steps that an instance does not take. */
const Scalar *step_load(Elab *e, const Scalar *load, StepRead read);

/* persist.c */
/* The value over all context axes from `first` on, in order, as a node; they must be its only ones. */
const Node *node_over_context(Elab *e, const Value *v, Span span);
Persistent *persistent_new(Elab *e, PersistKind kind, Name path, const char *model, const Node *init,
                           ElemType type, int rank, const Extent *shape, Span span);
const Node *persistent_current(Elab *e, const Persistent *p);
void persistent_set(Elab *e, Persistent *p, const Node *value);
/* Dqn.dense1.w; of a train block: dqn.buffer, the same in all its phases. */
Name persist_path(Elab *e, const Frame *f, Name name);
/* Whether something may be kept here; reports if not. */
bool persist_may(Elab *e, const Frame *f, const AstStmt *s, const char *what);
/* Binds a name whose value has a mistake that was reported. */
void bind_failed(Elab *e, Frame *f, AstName name);
void exec_param(Elab *e, Frame *f, const AstStmt *s);
void exec_state(Elab *e, Frame *f, const AstStmt *s);
void exec_next(Elab *e, Frame *f, const AstStmt *s);
/* After an optimizer's body: its states become what `next` has set. */
void optimizer_finish(Elab *e, Frame *f, Span span);
/* The states whose `next` is set. */
typedef VEC(const Persistent *) StateList;
StateList states_set(Elab *e, const Frame *f);
/* A new round of a loop begins: the names of the states whose `next` the last one set stand for these values. */
void states_proceed(Elab *e, Frame *f, const StateList *before);

/* elaborate_fit.c */
void exec_fit(Elab *e, Frame *f, const AstStmt *s);
/* value_reduce() over axes that `each` stands for. */
Value fit_reduce(Elab *e, Reduce reduce, uint64_t over, const Value *body, const Scalar *guard, Span span);

/* elaborate_data.c */
void elaborate_data(Elab *e, Definition *definition);
Value source_value(Elab *e, Frame *f, Name kind, const AstExpr *call, const AstArgs *args);
/* The leaf of a file whose kind, paths, columns and span are set; NULL after an error. */
const Node *source_leaf(Elab *e, FileSource *source);
/* Where a path of a file of this scope leads to. */
const char *source_path(Elab *e, const Scope *scope, const char *path);
Value ragged_value(Elab *e, const CallArg *args, Span span);

/* elaborate_settings.c: how long to train, on what batches; `clip` receives the limit of gradients, if any */
void settings_read(Elab *e, const Definition *definition, Train *t, double *clip);
/* The line of a setting in a train block, or NULL. */
const AstStmt *setting_find(const AstItem *item, const char *name);

/* train_phase.c */
void elaborate_train(Elab *e, const Definition *definition);

/* names_check.c: unknown names in bodies of a file that no call reached */
void names_check(Elab *e, const Scope *scope);
void name_unknown(Elab *e, const Scope *scope, AstName name, const char *const *local, int n_local);

/* elaborate_model.c */
/* Makes the parameters of a model that was not called yet, if its sizes are known. */
void model_declare(Elab *e, const Function *function);
void elaborate_models(Elab *e);

#endif
