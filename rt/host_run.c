/* host_run.c -- what a program does that another one drives: steps, fits, reports, models, on
 * examples that the caller brings. They are copied to memory of the host, where vector code may
 * read beyond their ends, and results are copied out. SPDX-License-Identifier: 0BSD */
#include "nnd_host.h"

#include <stdlib.h>

static size_t port_bytes(const NndPort *port)
{
    return nnd_type_size(port->type) * (size_t)nnd_shape_size(port->rank, port->shape);
}

/* ---- one entry on some examples ---- */

/* Its arrays. On failure they are there as far as they got. */
static int entry_open(NndHost *host, const NndEntry *entry, NndHostEntry *e)
{
    NndError *error = &host->session.error;
    size_t inputs = (size_t)entry->input_count + 1, outputs = (size_t)entry->output_count + 1;
    e->inputs = calloc(inputs, sizeof *e->inputs);
    e->outputs = calloc(outputs, sizeof *e->outputs);
    e->in = calloc(inputs, sizeof *e->in);
    e->out = calloc(outputs, sizeof *e->out);
    if (e->inputs == NULL || e->outputs == NULL || e->in == NULL || e->out == NULL)
        return nnd_error(error, "out of memory");
    for (int i = 0; i < entry->input_count; i++) {
        if (nnd_port_alloc(&entry->inputs[i], entry->batch, &e->inputs[i], error)) return 1;
        e->in[i] = e->inputs[i].data;
    }
    for (int i = 0; i < entry->output_count; i++) {
        if (nnd_port_alloc(&entry->outputs[i], entry->batch, &e->outputs[i], error)) return 1;
        e->out[i] = e->outputs[i].data;
    }
    return 0;
}

void nnd_host_entry_free(NndHostEntry *e)
{
    for (int k = 0; e->inputs != NULL && k < e->entry->input_count; k++)
        nnd_array_free(&e->inputs[k]);
    for (int k = 0; e->outputs != NULL && k < e->entry->output_count; k++)
        nnd_array_free(&e->outputs[k]);
    free(e->inputs);
    free(e->outputs);
    free(e->in);
    free(e->out);
}

static NndHostEntry *entry_need(NndHost *host, const NndEntry *entry)
{
    for (int i = 0; i < host->entry_count; i++)
        if (host->entries[i].entry == entry) return &host->entries[i];
    if (host->entry_count == host->entry_room) {
        int room = 2 * host->entry_room + 4;
        NndHostEntry *larger = realloc(host->entries, (size_t)room * sizeof *larger);
        if (larger == NULL) {
            nnd_error(&host->session.error, "out of memory");
            return NULL;
        }
        host->entries = larger;
        host->entry_room = room;
    }
    NndHostEntry *e = &host->entries[host->entry_count++];
    *e = (NndHostEntry){.entry = entry};
    if (!entry_open(host, entry, e)) return e;
    nnd_host_entry_free(e);
    host->entry_count--;
    return NULL;
}

static void examples_take(const NndPort *port, NndArray *to, const void *all, int64_t at, int64_t n)
{
    size_t row = port_bytes(port);
    size_t bytes = port->batched ? row * (size_t)n : row;
    const char *from = (const char *)all + (port->batched ? row * (size_t)at : 0);
    if (port->type != NND_BOOL) {
        memcpy(to->data, from, bytes);
        return;
    }
    for (size_t i = 0; i < bytes; i++)
        ((uint8_t *)to->data)[i] = from[i] != 0;
}

/* Runs the entry on call->batch examples, the first of which is number call->offset; values: all
 * examples of each input; results: where those of each output go, or NULL. */
static int entry_call(NndHost *host, const NndEntry *entry, NndCall *call,
                      const void *const *values, void *const *results)
{
    NndHostEntry *e = entry_need(host, entry);
    if (e == NULL) return NND_HOST_MEMORY;
    for (int i = 0; i < entry->input_count; i++)
        examples_take(&entry->inputs[i], &e->inputs[i], values[i], call->offset, call->batch);
    call->inputs = e->in;
    call->outputs = e->out;
    if (nnd_entry_run(&host->session, entry, call)) return NND_HOST_RANGE;
    for (int i = 0; results != NULL && i < entry->output_count; i++) {
        const NndPort *port = &entry->outputs[i];
        size_t row = port_bytes(port);
        if (results[i] == NULL) continue;
        if (port->batched)
            memcpy((char *)results[i] + row * (size_t)call->offset, e->out[i],
                   row * (size_t)call->batch);
        else
            memcpy(results[i], e->out[i], row);
    }
    return NND_HOST_OK;
}

/* The same on all call->total examples, as many at a time as the entry takes. */
static int entry_chunks(NndHost *host, const NndEntry *entry, NndCall *call,
                        const void *const *values, void *const *results)
{
    int64_t chunk = entry->batch > 0 ? entry->batch : call->total;
    int code = NND_HOST_OK;
    for (int64_t at = 0; at < call->total && code == NND_HOST_OK; at += chunk) {
        call->batch = chunk < call->total - at ? chunk : call->total - at;
        call->offset = at;
        code = entry_call(host, entry, call, values, results);
    }
    return code;
}

/* ---- train blocks ---- */

int64_t nnd_host_per_epoch(const NndHost *host, int train)
{
    const NndTrainInfo *info = &host->session.program->trains[train];
    if (info->set_count == 0) return 1;
    const NndDataInfo *data = &host->session.program->data[info->sets[0]];
    int64_t count = data->count[NND_TRAIN];
    if (count > 0 && data->drawn) count = nnd_split_end(data->fractions[0], count);
    return count > 0 ? (count + info->batch - 1) / info->batch : 1;
}

static int call_wrong(NndHost *host, const char *name, const char *verb, const char *what)
{
    nnd_error(&host->session.error, "%s_%s%s%s: %s", host->session.program->name, name,
              *verb ? "_" : "", verb, what);
    return NND_HOST_CALL;
}

/* Whether a call of a train block is right: its examples and their number. */
static int train_check(NndHost *host, const NndTrainInfo *info, const char *verb, int64_t n,
                       int64_t most, const void *const *fields)
{
    char text[300];
    host->session.error.text[0] = 0;
    if (info->set_count > 0 && (n < 1 || n > most)) {
        snprintf(text, sizeof text, "n is %lld; from 1 to %lld examples are possible", (long long)n,
                 (long long)most);
        return call_wrong(host, info->name, verb, text);
    }
    for (int s = 0; s < info->set_count; s++) {
        const NndDataInfo *data = &host->session.program->data[info->sets[s]];
        for (int i = 0; i < data->field_count; i++, fields++) {
            if (*fields != NULL) continue;
            snprintf(text, sizeof text, "%.200s is NULL", data->fields[i].name);
            return call_wrong(host, info->name, verb, text);
        }
    }
    return NND_HOST_OK;
}

/* The values for the inputs of an entry of the block, in new memory (free). */
static const void **train_values(NndHost *host, const NndTrainInfo *info, const NndEntry *entry,
                                 const void *const *fields)
{
    const void **values = calloc((size_t)entry->input_count + 1, sizeof *values);
    if (values == NULL) nnd_error(&host->session.error, "out of memory");
    for (int i = 0; values != NULL && i < entry->input_count; i++) {
        int first = 0;
        for (int s = 0; s < info->set_count && info->sets[s] != entry->inputs[i].set; s++)
            first += host->session.program->data[info->sets[s]].field_count;
        values[i] = fields[first + entry->inputs[i].field];
    }
    return values;
}

static int train_call(NndHost *host, const NndTrainInfo *info, const NndEntry *entry, NndCall *call,
                      bool chunks, const void *const *fields, void *const *results)
{
    if (entry == NULL) return NND_HOST_OK;
    const void **values = train_values(host, info, entry, fields);
    if (values == NULL) return NND_HOST_MEMORY;
    int code = chunks ? entry_chunks(host, entry, call, values, results)
                      : entry_call(host, entry, call, values, results);
    free(values);
    return code;
}

static int losses_check(NndHost *host, const NndTrainInfo *info, const NndHostEntry *e,
                        int64_t step)
{
    for (int i = 0; i < info->loss_count; i++) {
        double loss = nnd_array_value(&e->outputs[i], 0);
        if (isfinite(loss)) continue;
        nnd_error(&host->session.error,
                  "%s: the loss is %s at step %lld. Is the learning rate too large, or were the "
                  "examples not finite?",
                  info->losses[i], isnan(loss) ? "not a number" : "infinite", (long long)step);
        return NND_HOST_NOT_FINITE;
    }
    return NND_HOST_OK;
}

static NndCall train_begin(const NndHost *host, int train, int64_t n, int64_t step)
{
    return (NndCall){.seed = host->session.seed,
                     .batch = n,
                     .total = n,
                     .step = step,
                     .epoch = step / nnd_host_per_epoch(host, train)};
}

int nnd_host_step(NndHost *host, int train, int64_t n, const void *const *fields,
                  void *const *losses)
{
    if (host == NULL) return NND_HOST_CALL;
    const NndTrainInfo *info = &host->session.program->trains[train];
    if (info->set_count == 0) n = info->batch;
    int code = train_check(host, info, "step", n, info->batch, fields);
    if (code != NND_HOST_OK) return code;
    if (info->fit_count > 0 && !host->fitted[train])
        return call_wrong(host, info->name, "step",
                          "the model has fitted values: call the block's fit function, or load a "
                          "checkpoint, before");
    NndCall call = train_begin(host, train, n, host->steps[train]);
    code = train_call(host, info, info->step, &call, false, fields, losses);
    if (code != NND_HOST_OK) return code;
    host->last = train;
    return losses_check(host, info, entry_need(host, info->step), host->steps[train]++);
}

static int stream_call(NndHost *host, int train, const NndStreamed *stream, NndCall call,
                       const void *const *fields, void *const *results)
{
    const NndTrainInfo *info = &host->session.program->trains[train];
    call.batch = 0;
    int code = train_call(host, info, stream->reset, &call, false, fields, NULL);
    for (int i = 0; i < stream->pass_count && code == NND_HOST_OK; i++)
        code = train_call(host, info, stream->passes[i], &call, true, fields, NULL);
    call.batch = call.offset = 0;
    if (code == NND_HOST_OK)
        code = train_call(host, info, stream->finish, &call, false, fields, results);
    return code;
}

int nnd_host_fit(NndHost *host, int train, int64_t n, const void *const *fields)
{
    if (host == NULL) return NND_HOST_CALL;
    const NndTrainInfo *info = &host->session.program->trains[train];
    int code = train_check(host, info, "fit", n, INT32_MAX, fields);
    NndCall call = {.seed = host->session.seed, .total = info->set_count > 0 ? n : 1};
    for (int i = 0; i < info->fit_count && code == NND_HOST_OK; i++)
        code = stream_call(host, train, &info->fits[i], call, fields, NULL);
    if (code == NND_HOST_OK) host->fitted[train] = true;
    return code;
}

int nnd_host_report(NndHost *host, int train, int64_t n, const void *const *fields,
                    void *const *results)
{
    if (host == NULL) return NND_HOST_CALL;
    const NndTrainInfo *info = &host->session.program->trains[train];
    int code = train_check(host, info, "report", n, INT32_MAX, fields);
    if (code != NND_HOST_OK) return code;
    int64_t step = host->steps[train];
    NndCall call = train_begin(host, train, info->set_count > 0 ? n : 1, step);
    call.epoch = step > 0 ? (step - 1) / nnd_host_per_epoch(host, train) : 0;
    code = stream_call(host, train, info->report, call, fields, results);
    return code;
}

/* ---- models ---- */

int nnd_host_model(NndHost *host, int model, uint64_t seed, int64_t n, const void *const *inputs,
                   void *const *outputs)
{
    if (host == NULL) return NND_HOST_CALL;
    const NndModelInfo *info = &host->session.program->models[model];
    const NndEntry *entry = info->entry;
    char text[300];
    host->session.error.text[0] = 0;
    if (entry->batch == 0) n = 1;
    if (n < 1 || n > INT32_MAX) {
        snprintf(text, sizeof text, "n is %lld; at least one example is wanted", (long long)n);
        return call_wrong(host, info->name, "", text);
    }
    for (int i = 0; i < entry->input_count + entry->output_count; i++) {
        bool output = i >= entry->input_count;
        int k = output ? i - entry->input_count : i;
        if ((output ? outputs[k] : inputs[k]) != NULL) continue;
        snprintf(text, sizeof text, "%.200s is NULL",
                 output ? entry->outputs[k].name : entry->inputs[k].name);
        return call_wrong(host, info->name, "", text);
    }
    NndCall call = {.seed = seed, .total = n};
    int code = NND_HOST_OK;
    int64_t chunk = entry->batch > 0 ? entry->batch : 1;
    for (; call.offset < n && code == NND_HOST_OK; call.offset += chunk) {
        call.batch = chunk < n - call.offset ? chunk : n - call.offset;
        code = entry_call(host, entry, &call, inputs, outputs);
    }
    return code;
}
