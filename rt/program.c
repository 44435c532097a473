/* program.c -- the main function of generated programs: the command line, and the weights they start
 * from. SPDX-License-Identifier: 0BSD */
#include "nnd_program.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- the command line ---- */

typedef enum ProgramType { PROGRAM_FLAG, PROGRAM_TEXT, PROGRAM_NUMBER } ProgramType;

typedef struct ProgramOption {
    const char *flag;
    ProgramType type;
    size_t offset; /* in NndOptions */
    const char *argument, *doc;
} ProgramOption;

static const ProgramOption program_options[] = {
    {"-o", PROGRAM_TEXT, offsetof(NndOptions, output), "PATH",
     "run folder of a training, or .npy file of a prediction"},
    {"--weights", PROGRAM_TEXT, offsetof(NndOptions, weights), "PATH",
     "start from a checkpoint or run folder"},
    {"--resume", PROGRAM_FLAG, offsetof(NndOptions, resume), "",
     "go on from the checkpoint of the run folder, as if never stopped"},
    {"--only", PROGRAM_TEXT, offsetof(NndOptions, only), "NAME", "this train block only"},
    {"--input", PROGRAM_TEXT, offsetof(NndOptions, input), "X.npy",
     "predict: one file per input, with commas; -: numbers as text from standard input"},
    {"--data", PROGRAM_TEXT, offsetof(NndOptions, data), "FOLDER",
     "where relative paths of data files begin"},
    {"--seed", PROGRAM_NUMBER, offsetof(NndOptions, seed), "N", "seed of all random numbers"},
    {"--threads", PROGRAM_NUMBER, offsetof(NndOptions, threads), "N",
     "number of threads; 0: NND_THREADS, or as many as there are cores"},
    {"--examples", PROGRAM_NUMBER, offsetof(NndOptions, examples), "N",
     "the first N examples of each split only"},
    {"--trace", PROGRAM_TEXT, offsetof(NndOptions, trace), "FILE.csv",
     "train: write the time and losses of every step"},
    {"--all", PROGRAM_FLAG, offsetof(NndOptions, all), "",
     "predict: every model without inputs, a line each: name, rank, extents, values"},
    {"--quiet", PROGRAM_FLAG, offsetof(NndOptions, quiet), "", "print results and errors only"},
    {"--json", PROGRAM_FLAG, offsetof(NndOptions, json), "", "print results as JSON"},
};
enum { PROGRAM_OPTION_COUNT = sizeof program_options / sizeof program_options[0] };

static void program_usage(const NndProgram *program, FILE *out)
{
    fprintf(out,
            "usage: PROGRAM [train | eval | predict MODEL] [OPTION]...\n"
            "written by nndc from %s\n",
            program->source);
    for (int i = 0; i < PROGRAM_OPTION_COUNT; i++) {
        char flag[40];
        snprintf(flag, sizeof flag, "%s %s", program_options[i].flag, program_options[i].argument);
        fprintf(out, "  %-18s %s\n", flag, program_options[i].doc);
    }
    for (int i = 0; i < program->model_count; i++)
        fprintf(out, "%s%s", i == 0 ? "models: " : ", ", program->models[i].name);
    if (program->model_count > 0) fprintf(out, "\n");
}

static const ProgramOption *program_option(const char *word, const char **value)
{
    for (int i = 0; i < PROGRAM_OPTION_COUNT; i++) {
        size_t length = strlen(program_options[i].flag);
        if (strncmp(word, program_options[i].flag, length) != 0) continue;
        *value = word[length] == '=' ? word + length + 1 : NULL;
        if (word[length] == 0 || word[length] == '=') return &program_options[i];
    }
    return NULL;
}

static int program_option_set(const ProgramOption *option, const char *value, NndOptions *options)
{
    char *field = (char *)options + option->offset, *end;
    if (option->type == PROGRAM_FLAG) {
        memcpy(field, &(bool){true}, sizeof(bool));
    } else if (option->type == PROGRAM_TEXT) {
        memcpy(field, &value, sizeof value);
    } else {
        long long number = strtoll(value, &end, 10);
        if (end == value || *end != 0 || number < 0) {
            fprintf(stderr, "error: %s wants a number, not \"%s\"\n", option->flag, value);
            return 1;
        }
        memcpy(field, &(int64_t){number}, sizeof(int64_t));
    }
    return 0;
}

/* 0; 2: a mistake, which has been printed; -1: only help was wanted. */
static int program_arguments(const NndProgram *program, int argc, char **argv, NndOptions *options)
{
    for (int i = 1; i < argc; i++) {
        const char *value = NULL;
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            program_usage(program, stdout);
            return -1;
        }
        if (argv[i][0] != '-') {
            if (i == 1) {
                options->verb = argv[i];
            } else if (options->name == NULL && strcmp(options->verb, "predict") == 0) {
                options->name = argv[i];
            } else {
                fprintf(stderr, "error: \"%s\" is one argument too many\n", argv[i]);
                return 2;
            }
            continue;
        }
        const ProgramOption *option = program_option(argv[i], &value);
        if (option == NULL) {
            fprintf(stderr, "error: there is no option %s; --help lists them\n", argv[i]);
            return 2;
        }
        if (option->type != PROGRAM_FLAG && value == NULL) value = ++i < argc ? argv[i] : NULL;
        if ((option->type == PROGRAM_FLAG) != (value == NULL)) {
            fprintf(stderr, "error: %s %s\n", option->flag,
                    value != NULL ? "takes no value" : "wants a value");
            return 2;
        }
        if (program_option_set(option, value, options)) return 2;
    }
    return 0;
}

/* ---- the weights it starts from ---- */

bool nnd_train_meant(const NndOptions *options, const NndTrainInfo *train)
{
    if (options->only == NULL) return true;
    size_t length = strlen(options->only);
    return strncmp(options->only, train->name, length) == 0 &&
           (train->name[length] == 0 || train->name[length] == '.');
}

/* --seed, else the seed of the first train block that is meant, else 0. */
static uint64_t session_seed(const NndProgram *program, const NndOptions *options)
{
    if (options->seed >= 0) return (uint64_t)options->seed;
    for (int i = 0; i < program->train_count; i++) {
        const NndTrainInfo *train = &program->trains[i];
        if (!nnd_train_meant(options, train)) continue;
        return train->seed >= 0 ? (uint64_t)train->seed : 0;
    }
    return 0;
}

/* Says which tensors are not in a file of weights, and, for a training, which of those there are
 * not of this program. */
static void weights_compare(const NndSession *session, const NndStHeader *header, const char *path)
{
    const NndProgram *program = session->program;
    int missing = 0, more = 0;
    for (int i = 0; i < program->tensor_count; i++) {
        NndKept kept = program->tensors[i].kept;
        bool wanted = kept == NND_PARAM || kept == NND_STATE || kept == NND_FIT;
        if (wanted && nnd_st_find(header, program->tensors[i].name) == NULL && missing++ < 3)
            fprintf(stderr, "warning: %s has no tensor \"%s\"; it keeps its initial value\n", path,
                    program->tensors[i].name);
    }
    bool training = strcmp(session->options.verb, "train") == 0;
    for (int i = 0; i < header->count && training; i++) {
        bool known = false;
        for (int k = 0; k < program->tensor_count && !known; k++)
            known = strcmp(header->entries[i].name, program->tensors[k].name) == 0;
        if (!known && more++ < 3)
            fprintf(stderr, "warning: %s: \"%s\" is not used: this program has no such tensor\n",
                    path, header->entries[i].name);
    }
    if (missing > 3 || more > 3)
        fprintf(stderr, "warning: %s: in all %d tensors are missing and %d are not used\n", path,
                missing, more);
}

int nnd_weights_load(NndSession *session)
{
    struct stat status;
    NndStHeader header;
    const char *from = session->options.weights;
    if (from == NULL) from = session->folder;
    bool folder = stat(from, &status) == 0 && S_ISDIR(status.st_mode);
    if (session->options.weights == NULL && !folder)
        return nnd_error(&session->error,
                         "%s: there is no such folder: train first (`nndc train %s`), or name a "
                         "checkpoint with --weights",
                         from, session->program->source);
    char *path = nnd_path_join(folder ? from : "", folder ? "best.safetensors" : from);
    if (folder && path != NULL && access(path, F_OK) != 0) {
        free(path);
        path = nnd_path_join(from, "checkpoint.safetensors");
    }
    if (path == NULL) return nnd_error(&session->error, "out of memory");
    bool training = strcmp(session->options.verb, "train") == 0;
    int failed = nnd_st_header_read(path, &header, &session->error), found = 0;
    for (int i = 0; i < session->program->tensor_count && !failed; i++) {
        NndTensor *tensor = &session->tensors[i];
        NndKept kept = session->program->tensors[i].kept;
        if (kept == NND_SCRATCH || (kept == NND_OPTIMIZER && !training)) continue;
        if (nnd_st_find(&header, tensor->name) != NULL) {
            failed = nnd_checkpoint_load(path, tensor->name, tensor, 1, &session->error);
            found++;
        }
    }
    if (!failed && found > 0) weights_compare(session, &header, path);
    if (!failed && found == 0 && session->saved_count > 0 && header.count > 0)
        failed =
            nnd_error(&session->error, "%s: is a checkpoint of another model: it has no \"%s\"",
                      path, session->saved[0].name);
    nnd_st_header_free(&header);
    free(path);
    return failed;
}

/* Whether a name of a train block is there; says what there is if not. */
static int program_check_only(NndSession *session)
{
    const NndProgram *program = session->program;
    if (session->options.only == NULL) return 0;
    for (int i = 0; i < program->train_count; i++)
        if (nnd_train_meant(&session->options, &program->trains[i])) return 0;
    return nnd_error(&session->error, "there is no train block \"%s\"; %s has %s%s",
                     session->options.only, program->source,
                     program->train_count > 0 ? program->trains[0].name : "none",
                     program->train_count > 1 ? ", ..." : "");
}

static int program_verb(NndSession *session)
{
    const char *verb = session->options.verb;
    if (program_check_only(session)) return 1;
    if (nnd_init_run(session)) return 1;
    if (strcmp(verb, "train") == 0) return nnd_train(session);
    if (strcmp(verb, "eval") == 0) return nnd_eval(session);
    return nnd_predict(session);
}

int nnd_program_run(const NndProgram *program, const NndOptions *options)
{
    NndSession session = {.program = program, .options = *options};
    session.seed = session_seed(program, options);
    int status = nnd_session_open(&session) ? 1 : program_verb(&session);
    if (session.error.text[0] != 0) {
        fprintf(stderr, "error: %s\n", session.error.text);
        status = 1;
    }
    nnd_data_close(&session);
    nnd_session_close(&session);
    if (fflush(stdout) != 0 || ferror(stdout)) {
        fprintf(stderr, "error: standard output cannot be written\n");
        status = 1;
    }
    return status;
}

int nnd_program_main(const NndProgram *program, int argc, char **argv)
{
    NndError error;
    if (nnd_isa_check(program->isa, &error)) {
        fprintf(stderr, "error: %s\n", error.text);
        return 1;
    }
    NndOptions options = {.verb = "train", .seed = -1};
    int status = program_arguments(program, argc, argv, &options);
    if (status) return status < 0 ? 0 : status;
    if (strcmp(options.verb, "train") != 0 && strcmp(options.verb, "eval") != 0 &&
        strcmp(options.verb, "predict") != 0) {
        fprintf(stderr, "error: train, eval or predict is wanted, not \"%s\"\n", options.verb);
        return 2;
    }
    return nnd_program_run(program, &options);
}
