/* nnd_program.h -- what a program written by nndc tells the runtime about itself, and the main
 * function that all of them share. SPDX-License-Identifier: 0BSD
 *
 * A generated program is tables (tensors, files, data sets, train blocks, models) and one C
 * function per entry: a computation over the tensors that are kept, on one batch. Everything else
 * is the same for all programs and stands here: the command line, reading data, batches, steps,
 * fits, reports, checkpoints. The rules on errors are those of nnd_rt.h. */
#ifndef NND_PROGRAM_H_RT
#define NND_PROGRAM_H_RT

#include "nnd_rt.h"

/* ---- tables of the generated program ------------------------------------------------------ */

typedef enum NndKept {
    NND_PARAM,     /* trained */
    NND_STATE,     /* kept and saved, not trained */
    NND_FIT,       /* computed over the training split before the first step, saved */
    NND_OPTIMIZER, /* state of an optimiser, saved */
    NND_SCRATCH    /* accumulators of passes over a split: not saved */
} NndKept;

typedef struct NndTensorInfo {
    const char *name; /* MLP.dense1.w */
    NndKept kept;
    NndType type;
    int rank;
    int64_t shape[NND_MAX_RANK];
    size_t offset; /* of its data in the program's model, where there is one */
} NndTensorInfo;

/* What an entry works on. All arrays are row-major. */
typedef struct NndCall {
    const struct NndEntry *entry;
    uint64_t seed;
    int64_t batch;             /* examples in the inputs */
    int64_t total, offset;     /* examples of the split; number of the first one here */
    int64_t step, epoch;       /* from 0 */
    void *const *tensors;      /* the kept tensors' data, in the order of NndProgram.tensors */
    const void *const *inputs; /* in the order of the entry's inputs */
    void *const *outputs;      /* in the order of the entry's outputs; written */
    void *model;               /* memory of the program itself, zeroed at start */
    NndPool *pool;             /* what its loops are divided among */
    NndError *error;
} NndCall;

/* 0, or 1 with a message (a label outside the classes, ...). */
typedef int NndRun(const NndCall *call);

enum { NND_GIVEN = -1, NND_FILE = -2 };

typedef struct NndPort { /* an input or output of an entry; the batch axis is not in its shape */
    const char *name;
    NndType type;
    bool batched; /* has a leading batch axis */
    int rank;
    int64_t shape[NND_MAX_RANK];
    int set, field; /* input: data set and field, or NND_FILE and file, or NND_GIVEN */
    int64_t
        most; /* it holds the sizes of a bounded axis of another input, from 0 to this; else 0 */
    int sizes_of, axis; /* of which input, and which axis of its shape */
} NndPort;

typedef struct NndEntry {
    NndRun *run;
    const NndPort *inputs, *outputs;
    int input_count, output_count;
    int64_t batch;    /* the largest batch it may be run on; 0: it has no batch axis */
    int set;          /* pass of a stream: 1 + the data set that it goes through; 0: the train block's first */
    const void *data; /* for run, where one function serves many entries */
} NndEntry;

/* A computation over a whole split: reset, each pass over all chunks, finish. The outputs of passes
 * are collected for all examples (or the first ones, where finish's shape says so), and are the
 * inputs of finish that have their names. */
typedef struct NndStreamed {
    const NndEntry *reset, *finish;
    const NndEntry *const *passes;
    int pass_count;
} NndStreamed;

typedef struct NndFileInfo {
    const char *kind, *path;    /* path as written in the program */
    const char *place;          /* model.nnd:12 */
    const char *const *columns; /* csv, ends with NULL; or NULL */
    bool except;
    NndType type; /* that the program was compiled for, with its shape */
    int rank;
    int64_t shape[NND_MAX_RANK];
} NndFileInfo;

typedef struct NndFieldInfo {
    const char *name;
    NndType type;
    int rank; /* of one example */
    int64_t shape[NND_MAX_RANK];
    struct {
        int file, made;      /* number of a file, or of an output of `load`; -1: the other one */
    } source[3];             /* in train, valid, test */
    int sizes[NND_MAX_RANK]; /* 1 + the field with the sizes of the axis, or 0 if it is fixed */
} NndFieldInfo;

enum { NND_TRAIN, NND_VALID, NND_TEST };

typedef struct NndDataInfo {
    const char *name;
    const NndFieldInfo *fields;
    int field_count;
    int64_t count[3]; /* examples in train, valid, test; -1: there is no such split */
    bool drawn;       /* all examples stand under train, and fractions of them are drawn */
    double fractions[3];
} NndDataInfo;

typedef enum NndDrawing { /* how a report is shown */
                          NND_PLAIN,
                          NND_MATRIX, /* [rows, columns] of counts */
                          NND_CURVE,  /* [points, 2]: x and y in 0..1 */
                          NND_BARS,   /* [bars, 2]: middles and heights */
                          NND_IMAGE,  /* [.., rows, columns] or [.., rows, columns, 1 or 3] */
                          NND_TEXT    /* [letters] or [lines, letters]: their codes */
} NndDrawing;

typedef struct NndReportInfo {
    NndDrawing drawing;
    bool first; /* of the first examples only: fewer, if the split has fewer */
} NndReportInfo;

typedef struct NndTrainInfo {
    const char *name, *place;  /* mlp, or mlp.pretrain, a phase of it; model.nnd:18 */
    const char *const *losses; /* "model.nnd:21", one for each of the step's first outputs */
    const int *ran; /* for each loss, the output that says if it was computed; -1: always */
    int loss_count;
    const int *sets; /* the data sets; the first one's length is an epoch's */
    int set_count;
    int64_t batch, epochs, steps; /* epochs or steps is 0 */
    int64_t seed;                 /* -1: not set */
    bool shuffle;
    int64_t evaluate; /* steps between reports; 0: once per epoch */
    int64_t patience; /* reports without a better monitor after which it ends; 0: never */
    const NndEntry *step;
    const NndStreamed *fits;
    int fit_count;
    const NndStreamed *report;    /* or NULL; the reports are finish's first outputs */
    const NndReportInfo *reports; /* of each of them */
    int report_count;
    int monitor; /* the output behind them that is to become small; -1: none */
} NndTrainInfo;

typedef struct NndModelInfo {
    const char *name;
    const NndEntry *entry;
} NndModelInfo;

/* # expect: accuracy >= 0.981 */
typedef struct NndExpectInfo {
    const char *report, *relation; /* ">=", "<=", "==" */
    double value;
} NndExpectInfo;

/* Bytes that a program takes, as they are planned. */
typedef struct NndMemory {
    int64_t parameters, states, optimizers;
    int64_t work;    /* of the entry that needs most: all entries share it */
    int64_t results; /* the outputs of all entries */
    int64_t batch;   /* examples gathered for the entry that takes most */
    int64_t data;    /* files, and fields that are computed */
} NndMemory;

typedef struct NndProgram {
    const char *name;   /* model: what run folders are called by */
    const char *source; /* model.nnd */
    const char *text;   /* of it */
    const char *folder; /* of the .nnd file: relative paths of data begin here */
    NndType real;       /* NND_REAL or NND_F64 */
    NndIsa isa;         /* that the machine must have */
    size_t model_size;  /* bytes; 0: the runtime allocates each tensor */
    NndMemory memory;   /* zeros: there is no plan */
    const NndTensorInfo *tensors;
    int tensor_count;
    const NndFileInfo *files;
    int file_count;
    const NndDataInfo *data;
    int data_count;
    const NndTrainInfo *trains;
    int train_count;
    const NndModelInfo *models;
    int model_count;
    const NndExpectInfo *expects;
    int expect_count;
    const NndEntry *init; /* sets every parameter and state */
    const NndEntry *load; /* inputs: files; outputs: the fields that are computed; or NULL */
} NndProgram;

/* ---- program.c: the command line, the main function ------------------------------------------ */

typedef struct NndOptions {
    const char *verb;   /* "train", "eval" or "predict" */
    const char *name;   /* predict: the model; NULL: not given */
    const char *output; /* -o: run folder of a training, .npy file of a prediction */
    const char *weights, *input, *only, *trace, *data;
    int64_t seed;     /* -1: the program's */
    int64_t threads;  /* 0: all */
    int64_t examples; /* of each split, at most; 0: all */
    bool quiet, json, resume;
    bool all; /* predict: every model without inputs, a line each */
} NndOptions;

typedef struct NndSplit { /* as it is used */
    int64_t count;        /* -1: not there */
    const int64_t *rows;  /* which examples, or NULL for 0..count-1 */
    const void **fields;  /* the data of each field */
} NndSplit;

typedef struct NndSet {
    bool ready;
    NndSplit splits[3];
    int64_t *order; /* what rows of drawn splits point into */
} NndSet;

typedef struct NndSession {
    const NndProgram *program;
    NndOptions options;
    uint64_t seed;
    NndTensor *tensors; /* all kept tensors */
    NndTensor *saved;   /* those that are saved; they share their data */
    int saved_count;
    void **data;     /* of each tensor */
    void *model;     /* of the generated program */
    NndPool *pool;
    NndArray *files; /* data is NULL until a file is read */
    NndArray *made;  /* outputs of load */
    NndSet *sets;
    char *folder; /* the run folder */
    NndError error;
} NndSession;

/* What the main function of a generated program returns, its exit status: 0 done, 1 an error or an
 * expectation that failed, 2 usage, 130 stopped by a signal. */
int nnd_program_main(const NndProgram *program, int argc, char **argv);
/* The same for a command line that has been read. Errors have been printed when it returns. */
int nnd_program_run(const NndProgram *program, const NndOptions *options);
/* Fills the tensors from options.weights, a checkpoint or a run folder, or else from the program's
 * own run folder, of which best.safetensors is taken if it is there; what the checkpoint lacks
 * keeps its initial value, with a warning. */
int nnd_weights_load(NndSession *session);

/* ---- session.c: a program while it runs ---------------------------------------------------- */

/* Allocates what a session of session->program keeps; nothing of it has a value yet. Close it also
 * after an error. */
int nnd_session_open(NndSession *session);
void nnd_session_close(NndSession *session);
/* Runs an entry; sets the call's entry, tensors, model, pool and error. */
int nnd_entry_run(NndSession *session, const NndEntry *entry, NndCall *call);
/* An array for a port, with n examples if it is batched. */
int nnd_port_alloc(const NndPort *port, int64_t n, NndArray *array, NndError *error);
/* "FOLDER/name" in new memory (free); a copy of name if that is absolute; NULL without memory. */
char *nnd_path_join(const char *folder, const char *name);

/* ---- data.c: the data sets of a program ------------------------------------------------------ */

/* Reads a file of the program, unless it has been. */
int nnd_file_need(NndSession *session, int file);
/* Makes a data set ready: reads its files, computes fields, draws splits. */
int nnd_set_need(NndSession *session, int set);
void nnd_data_close(NndSession *session);
/* The split that reports are about while training: valid, else test, else train; or, at the end,
 * test, else valid, else train. */
int nnd_report_split(const NndSession *session, const NndTrainInfo *train, bool at_end);

/* Inputs of an entry, gathered from data sets. */
typedef struct NndFeed {
    const NndEntry *entry;
    NndArray *buffers;   /* one for each input; data is NULL where the data are used in place */
    const void **inputs; /* for NndCall */
} NndFeed;

int nnd_feed_open(NndSession *session, const NndEntry *entry, NndFeed *feed);
void nnd_feed_close(NndFeed *feed);
/* Points feed->inputs at n examples: those numbered rows[s][0..n) of data set s, or, where rows is
 * NULL, the ones from `offset` of each set's split. */
void nnd_feed_fill(NndSession *session, NndFeed *feed, int split, const int64_t *const *rows,
                   int64_t offset, int64_t n);
/* After an entry failed on n examples (rows and offset as for nnd_feed_fill): finds the first one
 * on which it fails alone, and adds to the message which one that is. */
void nnd_feed_blame(NndSession *session, NndFeed *feed, int split, const int64_t *const *rows,
                    int64_t offset, int64_t n, NndCall *call);
/* Sets every kept tensor to its initial value, some of which may be read from files. */
int nnd_init_run(NndSession *session);
/* Runs a streamed computation over a split of a data set; outputs are those of finish, or NULL. */
int nnd_stream_run(NndSession *session, const NndStreamed *stream, int set, int split,
                   NndCall *call, NndArray *outputs);

/* ---- feeder.c: the examples of the steps of a training --------------------------------------- */

typedef struct NndExamples { /* of one step */
    NndFeed feed;
    int64_t step, n;
    int64_t **numbers;    /* of the examples, for each data set of the train block */
    const int64_t **rows; /* the same by number of data set */
} NndExamples;

typedef struct NndFeederThread NndFeederThread;

typedef struct NndFeeder {
    NndSession *session;
    const NndTrainInfo *info;
    NndBatches *batches; /* one for each data set of the block */
    int64_t per_epoch;   /* steps */
    NndExamples places[2];
    int current;             /* the place whose examples are being used */
    NndFeederThread *thread; /* that fills the other one; NULL: there is none */
} NndFeeder;

/* Close it also after an error. */
int nnd_feeder_open(NndFeeder *feeder, NndSession *session, const NndTrainInfo *info, uint64_t seed);
void nnd_feeder_close(NndFeeder *feeder);
/* The examples of a step, good until the next call. more: the next step is likely to follow. */
NndExamples *nnd_feeder_take(NndFeeder *feeder, int64_t step, bool more);

/* ---- best.c: the weights with which the monitor was best ------------------------------------- */

typedef struct NndBest {
    double value;       /* of the monitor */
    int64_t step;       /* after which it was; -1: there is none yet */
    int64_t waited;     /* reports since then */
    NndTensor *tensors; /* copies of parameters, states and fitted values */
    int count;
    bool written; /* the file holds them */
} NndBest;

int nnd_best_open(NndSession *session, NndBest *best);
void nnd_best_close(NndBest *best);
/* Tells it the monitor's value after a step; copies the weights if it is the smallest so far. */
void nnd_best_offer(NndSession *session, NndBest *best, double value, int64_t step);
/* Writes the file if it is behind; removes one of another train block if there is none yet. */
int nnd_best_write(NndSession *session, NndBest *best, const char *path, const char *train);
/* Reads the copies back; value, step and waited are the caller's. */
int nnd_best_read(NndSession *session, NndBest *best, const char *path, const char *train);
/* Puts the best weights into place. */
void nnd_best_restore(NndSession *session, const NndBest *best);

/* ---- results.c: reports as files ---------------------------------------------------------------
 */

/* Writes every report that is not a number as FOLDER/TRAIN.REPORT.csv, .png or .npy. */
int nnd_results_write(NndSession *session, const NndTrainInfo *train, const char *folder,
                      const NndArray *arrays);
/* "csv", "png" or "npy": which; NULL for a number. */
const char *nnd_result_kind(const NndTrainInfo *train, int report, const NndArray *array);
/* The letters with these codes, a line for each row, to be freed; NULL with an error. */
char *nnd_letters(const NndArray *array, NndError *error);
/* Whether a report has a leading axis of examples. */
bool nnd_report_many(const NndTrainInfo *train, int report);

/* ---- memory.c: how much memory a program takes -------------------------------------------------- */

int64_t nnd_memory_total(const NndMemory *memory);
/* "58.3 MiB" */
const char *nnd_bytes_text(char *text, size_t size, int64_t bytes);
/* "58.3 MiB: parameters 2.6 MiB, ..., data 52.5 MiB"; 300 bytes are enough. */
void nnd_memory_text(char *text, size_t size, const NndMemory *memory);
/* Bytes that this process has had at once so far. */
int64_t nnd_memory_peak(void);
/* What was planned, and what was the most: a line, an object. */
void nnd_memory_print(const NndMemory *memory, FILE *out);
void nnd_memory_json(const NndMemory *memory, FILE *out);

/* ---- html.c: a training in one file
 * --------------------------------------------------------------- */

/* Writes FOLDER/report.html (TRAIN.html where there are several train blocks) from log.csv and the
 * latest reports (or NULL), after so many steps and seconds. */
int nnd_html_write(NndSession *session, const NndTrainInfo *train, const char *folder,
                   const NndArray *arrays, int64_t steps, double seconds);

/* ---- train.c, report.c, predict.c: the three verbs ------------------------------------------- */

/* Whether --only leaves the block in: it names it, or the block that it is a phase of. */
bool nnd_train_meant(const NndOptions *options, const NndTrainInfo *train);
int nnd_train(NndSession *session);
int nnd_eval(NndSession *session);
int nnd_predict(NndSession *session);

/* The values of a train block's reports over a split; arrays: one per output of report->finish, to
 * be freed by nnd_report_free. */
int nnd_report(NndSession *session, const NndTrainInfo *train, int split, int64_t step,
               int64_t epoch, NndArray **arrays);
void nnd_report_free(const NndTrainInfo *train, NndArray *arrays);
/* Prints the reports that are not single numbers. */
void nnd_report_tables(const NndTrainInfo *train, const NndArray *arrays, FILE *out);
/* Prints rows of numbers, one line for each row of the last axis, or (json) nested lists. */
void nnd_array_print(const NndArray *array, bool json, FILE *out);
/* Checks the expectations on one train block's reports, printing each; returns how many failed. */
int nnd_expects_check(NndSession *session, const NndTrainInfo *train, const NndArray *arrays);

#endif
