/* program.h -- what elaboration makes of a file: the persistent tensors, the data, and one graph per
 * entry point. Everything below elaboration (evaluator, passes, backends) works on this. */
#ifndef NND_PROGRAM_H
#define NND_PROGRAM_H

#include "ir.h"

/* --- what is kept between steps ------------------------------------------------------------------------ */

typedef enum PersistKind {
    PERSIST_PARAM,     /* trained */
    PERSIST_STATE,     /* kept and saved, not trained */
    PERSIST_FIT,       /* computed over the training split before the first step, saved */
    PERSIST_OPTIMIZER, /* state of an optimizer, saved */
    PERSIST_SCRATCH    /* accumulators of streamed entries: not saved */
} PersistKind;

typedef struct Persistent {
    PersistKind kind;
    Name path;        /* MLP.dense1.w; of an optimizer: mlp.minimize1.MLP.dense1.w.m */
    Name model;       /* the model it belongs to, or NULL */
    const Node *leaf; /* LEAF_PERSIST: its value on entry */
    const Node *init; /* its initial value: constants and draws only */
    int index;        /* in Program.persistents */
    Span span;
} Persistent;

/* --- data ------------------------------------------------------------------------------------------------ */

/* A file read at start: `kind` is a row of the runtime's readers ("idx", "csv", "npy"). */
typedef struct FileSource {
    Name kind;
    const char *path;    /* as written; relative paths are relative to the .nnd file */
    const char *full;    /* as opened when compiling */
    const char **columns;/* csv: the columns wanted, or excluded; ends with NULL; NULL: all. Archives: the name.
                           raw: the type of the elements */
    int rank;            /* raw: of the shape; 0: all that the file holds */
    int64_t shape[MAX_RANK];
    bool except;
    bool keep_axis;      /* csv: a list of one column gives [n, 1] */
    Span span;
    const Node *leaf;    /* LEAF_FILE */
} FileSource;

typedef struct Field {
    Name name;            /* image */
    const Node *whole;    /* all examples: a LEAF_FILE, or an expression of such; of fed data: none of them,
                           only the type and shape of one */
    const Node *leaf;     /* LEAF_FIELD: the examples of a batch; shape [batch, ...] */
    Span span;
    /* A bounded axis has its sizes in a field of their own, which the source does not name. */
    struct Field *sizes[MAX_RANK]; /* of axis k, over the axes before it; NULL: fixed */
    int64_t most;                  /* it holds sizes, from 0 to this; else 0 */
} Field;

typedef enum SplitKind { SPLIT_TRAIN, SPLIT_VALID, SPLIT_TEST, SPLIT_COUNT } SplitKind;

typedef struct Split {
    bool present;
    Span span;
    int64_t count;        /* examples */
    VEC(Field *) fields;  /* in the same order in every split */
} Split;

typedef struct DataSet {
    Name name;
    Span span;
    Split splits[SPLIT_COUNT];
    /* `split: [0.8, 0.1, 0.1]`: the fields stand in SPLIT_TRAIN with all examples, and the runtime draws
     * which example belongs to which split. */
    bool drawn;
    double fractions[SPLIT_COUNT];
    bool fed; /* `feed x: [4]`: a host program brings the examples of each step; in SPLIT_TRAIN there are none */
    VEC(Name) failed; /* fields whose definitions have errors: their uses stay silent */
    int index; /* in Program.data */
} DataSet;

/* --- entry points ------------------------------------------------------------------------------------------ */

/* How the value of a report is shown. */
typedef enum Drawing {
    DRAW_PLAIN,  /* by its shape */
    DRAW_MATRIX, /* [rows, columns] of counts */
    DRAW_CURVE,  /* [points, 2]: x and y in 0..1 */
    DRAW_BARS,   /* [bars, 2]: middles and heights */
    DRAW_IMAGE,  /* [.., rows, columns] or [.., rows, columns, 1 or 3 or 4] */
    DRAW_TEXT    /* [letters] or [lines, letters]: their codes */
} Drawing;

typedef struct Output {
    Name name;
    const Node *node;
    Span span;
    Drawing drawing; /* report: how it is shown */
    int64_t first;   /* report with a batch axis: of so many examples only; 0: of all */
} Output;

/* target becomes value when the entry has run. */
typedef struct Update {
    Persistent *target;
    const Node *value;
} Update;

typedef struct Entry {
    Name name;             /* "step_mlp", "init", "model_MLP": unique, an identifier */
    VEC(Output) outputs;   /* step: one loss per minimize; report: the values; model: results */
    VEC(Update) updates;
    VEC(const Node *) inputs; /* model: LEAF_INPUT, in order of its parameters */
    int64_t batch;         /* the largest batch (or chunk) it is run on; 0: has no batch axis */
    int64_t total;         /* to be streamed: examples of the largest split; 0: it must not keep them */
    const DataSet *data;   /* pass of a stream: that it goes through; NULL: the train block's first */
} Entry;

/* A computation over a whole split that goes through the data in chunks: first `reset`, then for each pass
 * all chunks in order, then `finish`. A pass's outputs are collected from chunk to chunk; `finish` has them
 * as inputs, and a batch axis that is the whole split. */
typedef struct Stream {
    Name name;
    Entry *reset;
    VEC(Entry *) passes;
    Entry *finish; /* outputs: the reports; updates: the fitted values */
} Stream;

typedef struct Minimize {
    Name name;      /* minimize1 */
    Span span;
    int output;     /* of the step entry: its loss */
    const Node *ran;/* whether it was done in this step; NULL: always */
    int ran_output; /* of the step entry: the same; or -1 */
} Minimize;

typedef struct Train {
    Name name;             /* mlp; of a phase: mlp.pretrain */
    Name identifier;       /* the same for C: unique */
    Span span;
    VEC(DataSet *) data;   /* the first one's length is an epoch's; none: steps without data */
    int64_t batch, epochs, steps; /* epochs or steps is 0 */
    int64_t seed;          /* -1: not set */
    bool shuffle;
    int64_t evaluate;      /* steps between reports; 0: once per epoch */
    int64_t patience;      /* reports without a better `monitor` after which it ends; 0: never */
    int monitor;           /* the output of report->finish that is to become small, behind the
                            * reports; -1: none */
    const DataSet *fed;    /* the first data set that a host program feeds: there are no epochs; or NULL */
    Entry *step;
    VEC(Minimize) minimizes;
    VEC(Stream *) fits;    /* one per level of dependence */
    Stream *report;        /* NULL: no reports */
} Train;

typedef struct Model {
    Name name;
    Span span;
    int64_t n_parameters;  /* elements of its own parameters */
    Entry *entry;          /* results for a batch of inputs; NULL if its sizes are not known */
    VEC(Name) input_names;
    Nodes results;         /* the entry's outputs before padding: bounded axes have their own sizes */
    VEC(Persistent *) persistents;
} Model;

/* `# expect: accuracy >= 0.981` */
typedef struct Expect {
    Span span;
    Name report;
    Name relation; /* ">=", "<=", "==" */
    double value;
} Expect;

typedef struct Program {
    Context *context;
    Graph *graph;
    const char *path;      /* of the .nnd file */
    const char *text;      /* of it */
    VEC(Persistent *) persistents;
    VEC(FileSource *) files;
    VEC(DataSet *) data;
    VEC(Model *) models;
    VEC(Train *) trains;
    VEC(Expect) expects;
    Entry *init;           /* updates: the initial value of every parameter and state */
    Entry *load;           /* outputs: every Field.whole that is an expression of files, not a plain file */
    /* Said when it has become code (codegen/memory.h): what it takes, and what is computed again to fit; or NULL. */
    const char *memory, *again;
} Program;

/* --- elaborate.c: from syntax to program ------------------------------------------------------------------------ */

struct AstFile;
typedef struct Setting { /* --set name=value */
    const char *name, *value;
} Setting;

typedef struct ElaborateOptions {
    const Setting *settings;
    int n_settings;
    bool real_f64;
    const char *only; /* one train block, or NULL */
} ElaborateOptions;

/* The program of a source file, with its imports and the library; NULL after errors (reported). */
Program *program_elaborate(Context *context, const Source *source, const ElaborateOptions *options);

/* The value of one expression in the scope of the library, where layers may stand, too; *program holds the
 * parameters that it makes (init entry). NULL after errors (reported). For documentation examples. */
const Node *program_expression(Context *context, const char *text, Program **program);

/* --- stream.c: splitting a computation over a whole split into passes -------------------------------------------- */

/* outputs and updates may hold reductions over the batch axis, which here is the whole split. Each level of
 * such reductions becomes one pass that accumulates into PERSIST_SCRATCH tensors. What needs all examples at
 * once (sorting them, comparing them, results with a batch axis) is done at the end, on values that passes
 * collect, if whole->total says how many there may be; else it is an error, reported. What reduces over
 * examples of one other data set than `main` (NULL: there is none) has passes of its own, over all of these.
 * NULL after an error. */
Stream *stream_split(Program *program, Name name, const Entry *whole, const DataSet *main);

#endif
