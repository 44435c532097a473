/* predict.c -- runs a model on arrays from files, on numbers from standard input, or on the
 * examples of the data set whose fields are called like its inputs; prints or saves the results.
 * SPDX-License-Identifier: 0BSD */
#include "nnd_program.h"

#include <stdlib.h>

typedef struct Prediction {
    NndSession *session;
    const NndModelInfo *model;
    NndArray *inputs;   /* whole */
    const void **ports; /* their data, or that of a data set */
    int64_t count;      /* examples */
    FILE *out;
} Prediction;

static const char *port_text(char *text, size_t size, const NndPort *port)
{
    char shape[200];
    nnd_shape_text(shape, sizeof shape, port->rank, port->shape);
    snprintf(text, size, "%s%s", nnd_type_name(port->type), port->rank > 0 ? shape : "");
    return text;
}

/* Whether the array is examples of the port, or one example; sets their number. */
static int input_check(Prediction *prediction, const NndPort *port, const char *path,
                       NndArray *array, int64_t *count)
{
    NndError *error = &prediction->session->error, cause;
    char there[200], wanted[200];
    int extra = array->rank - port->rank;
    if ((extra != 0 && (extra != 1 || !port->batched)) ||
        memcmp(array->shape + extra, port->shape, sizeof(int64_t) * (size_t)port->rank) != 0)
        return nnd_error(error, "%s: has the shape %s; %s of %s is %s, behind an axis of examples",
                         path, nnd_shape_text(there, sizeof there, array->rank, array->shape),
                         port->name, prediction->model->name,
                         port_text(wanted, sizeof wanted, port));
    if (nnd_array_convert(array, port->type, &cause))
        return nnd_error(error, "%s: %s of %s: %.300s", path, port->name, prediction->model->name,
                         cause.text);
    *count = extra == 1 ? array->shape[0] : 1;
    return 0;
}

/* All of standard input, NUL-terminated. */
static char *stdin_read(void)
{
    size_t used = 0, room = 1 << 16, got = 1;
    char *text = malloc(room);
    while (text != NULL && got > 0) {
        got = fread(text + used, 1, room - used - 1, stdin);
        used += got;
        if (room - used > 1) continue;
        char *larger = realloc(text, room *= 2);
        if (larger == NULL) free(text);
        text = larger;
    }
    if (text != NULL) text[used] = 0;
    return text;
}

/* Numbers with blanks, commas or line breaks between them. */
static int numbers_read(NndSession *session, const NndPort *port, NndArray *array)
{
    int64_t each = nnd_shape_size(port->rank, port->shape), count = 0, room = 0;
    char *text = stdin_read();
    double *values = NULL;
    if (text == NULL) return nnd_error(&session->error, "out of memory");
    int failed = 0;
    for (char *at = text + strspn(text, " ,;\t\r\n"); *at != 0 && !failed;) {
        char *end;
        double value = strtod(at, &end);
        if (end == at)
            failed = nnd_error(&session->error, "standard input: \"%.20s\" is no number", at);
        if (count == room) {
            room = 2 * room + 64;
            double *larger = realloc(values, (size_t)room * sizeof *values);
            if (larger == NULL) failed = nnd_error(&session->error, "out of memory");
            if (larger != NULL) values = larger;
        }
        if (!failed) values[count++] = value;
        at = end + strspn(end, " ,;\t\r\n");
    }
    if (!failed && (each < 1 || count == 0 || count % each != 0))
        failed = nnd_error(&session->error,
                           "standard input: %lld numbers; %s takes %lld for each example",
                           (long long)count, port->name, (long long)each);
    *array = (NndArray){.type = NND_F64, .rank = port->rank + 1};
    if (!failed) {
        array->shape[0] = count / each;
        memcpy(array->shape + 1, port->shape, sizeof(int64_t) * (size_t)port->rank);
        failed = nnd_array_alloc(array, &session->error);
    }
    if (!failed) memcpy(array->data, values, (size_t)count * sizeof *values);
    free(values);
    free(text);
    return failed;
}

/* Numbers typed in may stand for ints, bytes and truth values, if they are whole and fit. */
static int numbers_convert(NndSession *session, NndArray *array, NndType type)
{
    NndArray ints = *array;
    int64_t count = nnd_array_size(array);
    if (type == NND_REAL || type == NND_F64) return nnd_array_convert(array, type, &session->error);
    double low = type == NND_INT ? -INT32_MAX : 0;
    double high = type == NND_INT ? INT32_MAX : type == NND_U8 ? UINT8_MAX : 1;
    ints.type = type;
    if (nnd_array_alloc(&ints, &session->error)) return 1;
    for (int64_t i = 0; i < count; i++) {
        double value = ((const double *)array->data)[i];
        if (value != floor(value) || value < low || value > high) {
            nnd_array_free(&ints);
            return nnd_error(&session->error, "standard input: %g is no whole number from %.0f to %.0f",
                             value, low, high);
        }
        if (type == NND_INT)
            ((int32_t *)ints.data)[i] = (int32_t)value;
        else
            ((uint8_t *)ints.data)[i] = (uint8_t)value;
    }
    nnd_array_free(array);
    *array = ints;
    return 0;
}

static int input_read(Prediction *prediction, const NndPort *port, const char *path,
                      NndArray *array)
{
    NndSession *session = prediction->session;
    if (strcmp(path, "-") == 0)
        return numbers_read(session, port, array) || numbers_convert(session, array, port->type);
    NndSourceOptions options = {.real = session->program->real};
    return nnd_source_read("npy", path, &options, array, &session->error);
}

static int inputs_from_files(Prediction *prediction)
{
    NndSession *session = prediction->session;
    const NndEntry *entry = prediction->model->entry;
    char *list = nnd_path_join("", session->options.input), *rest = list;
    int failed = list == NULL ? nnd_error(&session->error, "out of memory") : 0;
    prediction->count = -1;
    for (int i = 0; i < entry->input_count && !failed; i++) {
        const NndPort *port = &entry->inputs[i];
        int64_t count = 0;
        if (port->set == NND_FILE) continue;
        if (rest == NULL) {
            failed = nnd_error(&session->error, "--input: %s wants a file for `%s`, too",
                               prediction->model->name, port->name);
            break;
        }
        char *path = rest, *comma = strchr(rest, ',');
        rest = comma != NULL ? comma + 1 : NULL;
        if (comma != NULL) *comma = 0;
        NndArray *array = &prediction->inputs[i];
        const char *name = strcmp(path, "-") == 0 ? "standard input" : path;
        failed = input_read(prediction, port, path, array) ||
                 input_check(prediction, port, name, array, &count);
        if (!failed && prediction->count >= 0 && count != prediction->count)
            failed = nnd_error(&session->error, "%s: has %lld examples, the input before it %lld",
                               name, (long long)count, (long long)prediction->count);
        prediction->count = count;
        prediction->ports[i] = array->data;
    }
    if (!failed && rest != NULL)
        failed = nnd_error(&session->error, "--input: %s has only %d inputs",
                           prediction->model->name, entry->input_count);
    free(list);
    return failed;
}

/* The field of a data set with the name, type and shape of a port, or, if the port holds sizes, the field with
 * the sizes of what it belongs to; -1: there is none. */
static int field_like(const NndDataInfo *data, const NndEntry *entry, const NndPort *port)
{
    if (port->most > 0) {
        int whole = field_like(data, entry, &entry->inputs[port->sizes_of]);
        return whole < 0 ? -1 : data->fields[whole].sizes[port->axis] - 1;
    }
    for (int i = 0; i < data->field_count; i++) {
        const NndFieldInfo *field = &data->fields[i];
        if (strcmp(field->name, port->name) == 0 && field->type == port->type &&
            field->rank == port->rank &&
            memcmp(field->shape, port->shape, sizeof(int64_t) * (size_t)port->rank) == 0)
            return i;
    }
    return -1;
}

/* The examples of the first data set that has a field for each input. */
static int inputs_from_data(Prediction *prediction)
{
    NndSession *session = prediction->session;
    const NndEntry *entry = prediction->model->entry;
    for (int s = 0; s < session->program->data_count; s++) {
        const NndDataInfo *data = &session->program->data[s];
        bool complete = true;
        for (int i = 0; i < entry->input_count; i++)
            if (entry->inputs[i].set != NND_FILE && field_like(data, entry, &entry->inputs[i]) < 0)
                complete = false;
        if (!complete) continue;
        if (nnd_set_need(session, s)) return 1;
        const NndSplit *splits = session->sets[s].splits;
        const NndSplit *split = splits[NND_TEST].count > 0    ? &splits[NND_TEST]
                                : splits[NND_VALID].count > 0 ? &splits[NND_VALID]
                                                              : &splits[NND_TRAIN];
        prediction->count = split->count;
        for (int i = 0; i < entry->input_count; i++) {
            const NndPort *port = &entry->inputs[i];
            if (port->set == NND_FILE) continue;
            const void *all = split->fields[field_like(data, entry, port)];
            prediction->ports[i] = all;
            if (split->rows == NULL) continue;
            if (nnd_port_alloc(port, split->count, &prediction->inputs[i], &session->error))
                return 1;
            nnd_gather(prediction->inputs[i].data, all,
                       nnd_type_size(port->type) * (size_t)nnd_shape_size(port->rank, port->shape),
                       split->rows, split->count);
            prediction->ports[i] = prediction->inputs[i].data;
        }
        return 0;
    }
    return nnd_error(&session->error,
                     "%s has inputs, and no data set has fields of their names, types and shapes: give "
                     "--input X.npy",
                     prediction->model->name);
}

/* Runs the model on examples at, at + 1, .., at + n - 1. */
static int prediction_chunk(Prediction *prediction, NndArray *results, int64_t at, int64_t n,
                            const void **inputs, void **outputs)
{
    NndSession *session = prediction->session;
    const NndEntry *entry = prediction->model->entry;
    for (int i = 0; i < entry->input_count; i++) {
        const NndPort *port = &entry->inputs[i];
        size_t row = nnd_type_size(port->type) * (size_t)nnd_shape_size(port->rank, port->shape);
        inputs[i] = (const char *)prediction->ports[i] + (port->batched ? (size_t)at * row : 0);
    }
    for (int i = 0; i < entry->output_count; i++) {
        const NndPort *port = &entry->outputs[i];
        size_t row = nnd_type_size(port->type) * (size_t)nnd_shape_size(port->rank, port->shape);
        outputs[i] = (char *)results[i].data + (port->batched ? (size_t)at * row : 0);
    }
    NndCall call = {.seed = session->seed,
                    .batch = n,
                    .total = prediction->count,
                    .offset = at,
                    .inputs = inputs,
                    .outputs = outputs};
    return nnd_entry_run(session, entry, &call);
}

/* After a chunk failed: says which of its examples fails alone. */
static void prediction_blame(Prediction *prediction, NndArray *results, int64_t at, int64_t n,
                             const void **inputs, void **outputs)
{
    NndError *error = &prediction->session->error, first = *error;
    for (int64_t i = 0; i < n; i++)
        if (prediction_chunk(prediction, results, at + i, 1, inputs, outputs)) {
            NndError cause = *error;
            nnd_error(error, "%.400s; this is example %lld (from 0)", cause.text, (long long)(at + i));
            return;
        }
    *error = first;
}

/* Runs the model chunk by chunk; results: one array for each output. */
static int prediction_run(Prediction *prediction, NndArray *results)
{
    NndSession *session = prediction->session;
    const NndEntry *entry = prediction->model->entry;
    const void **inputs = calloc((size_t)entry->input_count + 1, sizeof *inputs);
    void **outputs = calloc((size_t)entry->output_count + 1, sizeof *outputs);
    int failed =
        inputs == NULL || outputs == NULL ? nnd_error(&session->error, "out of memory") : 0;
    for (int i = 0; i < entry->output_count && !failed; i++)
        failed =
            nnd_port_alloc(&entry->outputs[i], prediction->count, &results[i], &session->error);
    int64_t chunk = entry->batch > 0 ? entry->batch : prediction->count;
    for (int64_t at = 0; at < prediction->count && !failed; at += chunk) {
        int64_t n = chunk < prediction->count - at ? chunk : prediction->count - at;
        failed = prediction_chunk(prediction, results, at, n, inputs, outputs);
        if (failed && entry->batch > 0)
            prediction_blame(prediction, results, at, n, inputs, outputs);
    }
    free(inputs);
    free(outputs);
    return failed;
}

static int prediction_show(Prediction *prediction, NndArray *results)
{
    NndSession *session = prediction->session;
    const NndEntry *entry = prediction->model->entry;
    if (session->options.output != NULL) {
        if (entry->output_count > 1)
            return nnd_error(&session->error, "-o: %s has %d results; a file holds one",
                             prediction->model->name, entry->output_count);
        return nnd_npy_write(session->options.output, &results[0], &session->error);
    }
    for (int i = 0; i < entry->output_count; i++) {
        nnd_array_print(&results[i], session->options.json, stdout);
        if (session->options.json || i + 1 < entry->output_count) printf("\n");
    }
    return 0;
}

static const NndModelInfo *model_find(NndSession *session)
{
    const NndProgram *program = session->program;
    char names[300] = "";
    size_t used = 0;
    for (int i = 0; i < program->model_count; i++) {
        if (session->options.name != NULL &&
            strcmp(session->options.name, program->models[i].name) == 0)
            return &program->models[i];
        int more = snprintf(names + used, sizeof names - used, "%s%s", i > 0 ? ", " : "",
                            program->models[i].name);
        used = used + (size_t)more < sizeof names ? used + (size_t)more : sizeof names - 1;
    }
    if (session->options.name == NULL)
        nnd_error(&session->error, "predict wants a model; %s has %s", program->source, names);
    else
        nnd_error(&session->error,
                  "there is no model \"%s\" in %s that can be run alone; it has %s",
                  session->options.name, program->source, names[0] ? names : "none");
    return NULL;
}

static int predict_model(NndSession *session, const NndModelInfo *model,
                         int (*show)(Prediction *, NndArray *), FILE *out)
{
    Prediction prediction = {.session = session, .model = model, .count = 1, .out = out};
    const NndEntry *entry = model->entry;
    bool has_inputs = false;
    prediction.inputs = calloc((size_t)entry->input_count + 1, sizeof *prediction.inputs);
    prediction.ports = calloc((size_t)entry->input_count + 1, sizeof *prediction.ports);
    NndArray *results = calloc((size_t)entry->output_count + 1, sizeof *results);
    int failed = prediction.inputs == NULL || prediction.ports == NULL || results == NULL
                     ? nnd_error(&session->error, "out of memory")
                     : 0;
    for (int i = 0; i < entry->input_count && !failed; i++) {
        const NndPort *port = &entry->inputs[i];
        if (port->set != NND_FILE) {
            has_inputs = true;
            continue;
        }
        failed = nnd_file_need(session, port->field);
        prediction.ports[i] = session->files[port->field].data;
    }
    if (!failed && has_inputs)
        failed = session->options.input != NULL ? inputs_from_files(&prediction)
                                                : inputs_from_data(&prediction);
    if (!failed) failed = prediction_run(&prediction, results);
    if (!failed) failed = show(&prediction, results);
    for (int i = 0; results != NULL && i < entry->output_count; i++)
        nnd_array_free(&results[i]);
    for (int i = 0; prediction.inputs != NULL && i < entry->input_count; i++)
        nnd_array_free(&prediction.inputs[i]);
    free(prediction.inputs);
    free(prediction.ports);
    free(results);
    return failed;
}

/* "NAME rank extents... values..." of the first result, "NAME.2 ..." of the second and so on. */
static int prediction_line(Prediction *prediction, NndArray *results)
{
    for (int r = 0; r < prediction->model->entry->output_count; r++) {
        fprintf(prediction->out, "%s", prediction->model->name);
        if (r > 0) fprintf(prediction->out, ".%d", r + 1);
        fprintf(prediction->out, " %d", results[r].rank);
        for (int k = 0; k < results[r].rank; k++)
            fprintf(prediction->out, " %lld", (long long)results[r].shape[k]);
        for (int64_t i = 0; i < nnd_array_size(&results[r]); i++)
            fprintf(prediction->out, " %.17g", nnd_array_value(&results[r], i));
        fprintf(prediction->out, "\n");
    }
    return 0;
}

static int predict_all(NndSession *session)
{
    const char *path = session->options.output;
    FILE *out = path != NULL ? fopen(path, "w") : stdout;
    int failed = out == NULL ? nnd_error(&session->error, "%s: cannot be written", path) : 0;
    for (int i = 0; i < session->program->model_count && !failed; i++) {
        const NndModelInfo *model = &session->program->models[i];
        bool alone = model->entry->output_count > 0;
        for (int k = 0; k < model->entry->input_count; k++)
            if (model->entry->inputs[k].set != NND_FILE) alone = false;
        if (alone) failed = predict_model(session, model, prediction_line, out);
    }
    if (out != NULL && out != stdout && fclose(out) != 0 && !failed)
        failed = nnd_error(&session->error, "%s: cannot be written", path);
    return failed;
}

int nnd_predict(NndSession *session)
{
    const NndModelInfo *model = session->options.all ? NULL : model_find(session);
    bool wanted = session->saved_count > 0 || session->options.weights != NULL;
    if (model == NULL && !session->options.all) return 1;
    if (wanted && nnd_weights_load(session)) return 1;
    return model != NULL ? predict_model(session, model, prediction_show, stdout)
                         : predict_all(session);
}
