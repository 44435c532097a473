/* data.c -- the data sets of a program: reads the files they are made of when they are needed,
 * computes the fields that are expressions, draws splits, and brings examples to entries.
 * SPDX-License-Identifier: 0BSD */
#include "nnd_program.h"

#include <stdlib.h>

static int file_columns(const char *const *columns)
{
    int count = 0;
    while (columns != NULL && columns[count] != NULL)
        count++;
    return count;
}

static int file_check(NndSession *session, const NndFileInfo *info, const char *path,
                      const NndArray *array)
{
    char there[200], wanted[200];
    if (array->rank == info->rank &&
        memcmp(array->shape, info->shape, sizeof(int64_t) * (size_t)info->rank) == 0)
        return 0;
    return nnd_error(&session->error,
                     "%s: has the shape %s; it was %s when %s was compiled (%s): compile it again",
                     path, nnd_shape_text(there, sizeof there, array->rank, array->shape),
                     nnd_shape_text(wanted, sizeof wanted, info->rank, info->shape),
                     session->program->source, info->place);
}

int nnd_file_need(NndSession *session, int file)
{
    const NndFileInfo *info = &session->program->files[file];
    NndArray *array = &session->files[file];
    if (array->data != NULL) return 0;
    int columns = file_columns(info->columns);
    NndSourceOptions options = {.real = session->program->real, .keep_axis = info->rank == 2};
    if (strcmp(info->kind, "csv") != 0) {
        options.tensor = columns > 0 ? info->columns[0] : NULL; /* of an archive */
        options.rank = info->rank;
        memcpy(options.shape, info->shape, sizeof options.shape);
    } else if (info->except) {
        options.except = info->columns;
        options.except_count = columns;
    } else {
        options.columns = info->columns;
        options.column_count = columns;
    }
    const char *folder = session->options.data;
    char *path = nnd_path_join(folder != NULL ? folder : session->program->folder, info->path);
    if (path == NULL) return nnd_error(&session->error, "out of memory");
    int failed = nnd_source_read(info->kind, path, &options, array, &session->error) ||
                 file_check(session, info, path, array);
    if (!failed && nnd_array_convert(array, info->type, &session->error)) {
        NndError cause = session->error;
        failed = nnd_error(&session->error, "%s: %.400s", path, cause.text);
    }
    free(path);
    return failed;
}

/* Computes the fields that are expressions, once. */
static int data_make(NndSession *session)
{
    const NndEntry *load = session->program->load;
    if (load == NULL || session->made != NULL) return 0;
    session->made = calloc((size_t)load->output_count + 1, sizeof *session->made);
    const void **inputs = calloc((size_t)load->input_count + 1, sizeof *inputs);
    void **outputs = calloc((size_t)load->output_count + 1, sizeof *outputs);
    int failed = 0;
    if (session->made == NULL || inputs == NULL || outputs == NULL)
        failed = nnd_error(&session->error, "out of memory");
    for (int i = 0; i < load->input_count && !failed; i++) {
        failed = nnd_file_need(session, load->inputs[i].field);
        if (!failed) inputs[i] = session->files[load->inputs[i].field].data;
    }
    for (int i = 0; i < load->output_count && !failed; i++) {
        failed = nnd_port_alloc(&load->outputs[i], 0, &session->made[i], &session->error);
        if (!failed) outputs[i] = session->made[i].data;
    }
    NndCall call = {.seed = session->seed, .inputs = inputs, .outputs = outputs};
    if (!failed) failed = nnd_entry_run(session, load, &call);
    free(inputs);
    free(outputs);
    return failed;
}

static int set_fields(NndSession *session, const NndDataInfo *info, NndSet *set)
{
    for (int k = 0; k < 3; k++) {
        NndSplit *split = &set->splits[k];
        split->count = info->count[k];
        if (split->count < 0) continue;
        split->fields = calloc((size_t)info->field_count + 1, sizeof *split->fields);
        if (split->fields == NULL) return nnd_error(&session->error, "out of memory");
        for (int i = 0; i < info->field_count; i++) {
            int file = info->fields[i].source[k].file, made = info->fields[i].source[k].made;
            if (file >= 0 ? nnd_file_need(session, file) : data_make(session)) return 1;
            split->fields[i] = file >= 0 ? session->files[file].data : session->made[made].data;
        }
    }
    return 0;
}

static int set_draw(NndSession *session, const NndDataInfo *info, NndSet *set, uint32_t number)
{
    int64_t start[4], all = info->count[NND_TRAIN];
    const void **fields = set->splits[NND_TRAIN].fields;
    set->order = malloc(((size_t)all + 1) * sizeof *set->order);
    if (set->order == NULL) return nnd_error(&session->error, "out of memory");
    if (nnd_split(session->seed, number, all, info->fractions, 3, set->order, start,
                  &session->error))
        return 1;
    for (int k = 0; k < 3; k++) {
        int64_t count = start[k + 1] - start[k];
        set->splits[k] = (NndSplit){count > 0 ? count : -1, set->order + start[k], fields};
    }
    return 0;
}

int nnd_set_need(NndSession *session, int number)
{
    const NndDataInfo *info = &session->program->data[number];
    NndSet *set = &session->sets[number];
    if (set->ready) return 0;
    if (set_fields(session, info, set)) return 1;
    if (info->drawn && set_draw(session, info, set, (uint32_t)number)) return 1;
    for (int k = 0; k < 3 && session->options.examples > 0; k++)
        if (set->splits[k].count > session->options.examples)
            set->splits[k].count = session->options.examples;
    set->ready = true;
    return 0;
}

void nnd_data_close(NndSession *session)
{
    const NndProgram *program = session->program;
    for (int i = 0; session->sets != NULL && i < program->data_count; i++) {
        NndSet *set = &session->sets[i];
        free(set->order);
        for (int k = 0; k < 3; k++) {
            free(set->splits[k].fields);
            if (program->data[i].drawn) break; /* the splits share theirs */
        }
    }
    for (int i = 0; session->files != NULL && i < program->file_count; i++)
        nnd_array_free(&session->files[i]);
    for (int i = 0; session->made != NULL && i < program->load->output_count; i++)
        nnd_array_free(&session->made[i]);
    free(session->made);
}

/* The split, or what a data set without it has instead: the other one that is not trained on, or all. */
static int split_instead(const NndSet *set, int split)
{
    int other = split == NND_TEST ? NND_VALID : NND_TEST;
    if (split == NND_TRAIN || set->splits[split].count > 0) return split;
    return set->splits[other].count > 0 ? other : NND_TRAIN;
}

int nnd_report_split(const NndSession *session, const NndTrainInfo *train, bool at_end)
{
    if (train->set_count == 0) return NND_TRAIN;
    return split_instead(&session->sets[train->sets[0]], at_end ? NND_TEST : NND_VALID);
}

/* ---- inputs of entries ---- */

static const NndSplit *split_of(const NndSession *session, int set, int split)
{
    return &session->sets[set].splits[split_instead(&session->sets[set], split)];
}

int nnd_feed_open(NndSession *session, const NndEntry *entry, NndFeed *feed)
{
    size_t count = (size_t)entry->input_count + 1;
    *feed =
        (NndFeed){entry, calloc(count, sizeof *feed->buffers), calloc(count, sizeof *feed->inputs)};
    if (feed->buffers == NULL || feed->inputs == NULL)
        return nnd_error(&session->error, "out of memory");
    for (int i = 0; i < entry->input_count; i++) {
        const NndPort *port = &entry->inputs[i];
        if (port->set == NND_FILE) {
            if (nnd_file_need(session, port->field)) return 1;
            feed->inputs[i] = session->files[port->field].data;
        } else if (port->set >= 0) {
            if (nnd_set_need(session, port->set) ||
                nnd_port_alloc(port, entry->batch, &feed->buffers[i], &session->error))
                return 1;
        }
    }
    return 0;
}

void nnd_feed_close(NndFeed *feed)
{
    for (int i = 0; feed->buffers != NULL && i < feed->entry->input_count; i++)
        nnd_array_free(&feed->buffers[i]);
    free(feed->buffers);
    free(feed->inputs);
}

/* Rows `offset`, offset + 1, ... of a split, beginning anew behind the last one. */
static void rows_wrapped(void *to, const NndSplit *from, const void *data, size_t bytes, int64_t offset,
                         int64_t n)
{
    for (int64_t done = 0; done < n;) {
        int64_t first = (offset + done) % from->count;
        int64_t some = from->count - first < n - done ? from->count - first : n - done;
        char *place = (char *)to + (size_t)done * bytes;
        if (from->rows != NULL)
            nnd_gather(place, data, bytes, from->rows + first, some);
        else
            memcpy(place, (const char *)data + (size_t)first * bytes, (size_t)some * bytes);
        done += some;
    }
}

void nnd_feed_fill(NndSession *session, NndFeed *feed, int split, const int64_t *const *rows,
                   int64_t offset, int64_t n)
{
    for (int i = 0; i < feed->entry->input_count; i++) {
        const NndPort *port = &feed->entry->inputs[i];
        if (port->set < 0) continue;
        const NndSplit *from = split_of(session, port->set, split);
        const char *data = from->fields[port->field];
        void *to = feed->buffers[i].data;
        size_t bytes = nnd_type_size(port->type) * (size_t)nnd_shape_size(port->rank, port->shape);
        const int64_t *numbers = rows != NULL ? rows[port->set] : NULL;
        if (numbers == NULL && from->rows == NULL && offset + n <= from->count) {
            feed->inputs[i] = data + (size_t)offset * bytes;
            continue;
        }
        if (numbers != NULL) nnd_gather(to, data, bytes, numbers, n);
        else rows_wrapped(to, from, data, bytes, offset, n);
        feed->inputs[i] = to;
    }
}

void nnd_feed_blame(NndSession *session, NndFeed *feed, int split, const int64_t *const *rows,
                    int64_t offset, int64_t n, NndCall *call)
{
    static const char *const names[] = {"train", "valid", "test"};
    NndError first = session->error;
    int data_count = session->program->data_count, set = -1;
    const int64_t **one = calloc((size_t)data_count + 1, sizeof *one);
    bool found = false;
    for (int i = 0; i < feed->entry->input_count; i++)
        if (set < 0) set = feed->entry->inputs[i].set;
    for (int64_t i = 0; i < n && one != NULL && set >= 0 && !found; i++) {
        for (int s = 0; s < data_count; s++)
            one[s] = rows != NULL && rows[s] != NULL ? rows[s] + i : NULL;
        nnd_feed_fill(session, feed, split, one, offset + i, 1);
        call->batch = 1;
        call->offset = offset + i;
        call->inputs = feed->inputs;
        found = nnd_entry_run(session, feed->entry, call) != 0;
        if (!found) continue;
        const int64_t *kept = split_of(session, set, split)->rows;
        long long number = (long long)(one[set] != NULL ? *one[set]
                                       : kept != NULL   ? kept[(offset + i) % split_of(session, set, split)->count]
                                                        : offset + i);
        NndError cause = session->error;
        nnd_error(&session->error, "%.300s; this is example %lld (from 0) of %s, split %s",
                  cause.text, number, session->program->data[set].name, names[split]);
    }
    free(one);
    if (!found) session->error = first;
}

/* ---- streams ---- */

typedef struct Collected { /* what passes hand out, of all examples */
    const NndPort *port;   /* of finish */
    NndArray array;
} Collected;

static int collected_open(NndSession *session, const NndEntry *finish, int64_t total,
                          Collected **collected)
{
    *collected = calloc((size_t)finish->input_count + 1, sizeof **collected);
    if (*collected == NULL) return nnd_error(&session->error, "out of memory");
    for (int i = 0; i < finish->input_count; i++) {
        if (finish->inputs[i].set != NND_GIVEN) continue;
        (*collected)[i].port = &finish->inputs[i];
        if (nnd_port_alloc(&finish->inputs[i], total, &(*collected)[i].array, &session->error))
            return 1;
    }
    return 0;
}

static void collected_close(const NndEntry *finish, Collected *collected)
{
    for (int i = 0; collected != NULL && i < finish->input_count; i++)
        nnd_array_free(&collected[i].array);
    free(collected);
}

/* Puts a chunk's values behind those of the chunks before. */
static void collected_add(const NndEntry *finish, Collected *collected, const NndPort *port,
                          const NndArray *chunk, int64_t offset, int64_t n)
{
    for (int i = 0; i < finish->input_count; i++) {
        if (collected[i].port == NULL || strcmp(collected[i].port->name, port->name) != 0) continue;
        NndArray *all = &collected[i].array;
        size_t row = nnd_type_size(port->type) * (size_t)nnd_shape_size(port->rank, port->shape);
        if (offset + n > all->shape[0]) n = all->shape[0] - offset;
        if (n > 0) memcpy((char *)all->data + (size_t)offset * row, chunk->data, (size_t)n * row);
    }
}

/* Arrays for an entry's outputs, of n examples each. */
static int outputs_open(NndSession *session, const NndEntry *entry, int64_t n, NndArray **arrays,
                        void ***outputs)
{
    *arrays = calloc((size_t)entry->output_count + 1, sizeof **arrays);
    *outputs = calloc((size_t)entry->output_count + 1, sizeof **outputs);
    if (*arrays == NULL || *outputs == NULL) return nnd_error(&session->error, "out of memory");
    for (int i = 0; i < entry->output_count; i++) {
        if (nnd_port_alloc(&entry->outputs[i], n, &(*arrays)[i], &session->error)) return 1;
        (*outputs)[i] = (*arrays)[i].data;
    }
    return 0;
}

/* One entry of a stream over all chunks of the split. */
static int stream_pass(NndSession *session, const NndStreamed *stream, const NndEntry *entry,
                       int split, NndCall *call, Collected *collected)
{
    NndFeed feed;
    NndArray *arrays = NULL;
    void **outputs = NULL;
    int failed = nnd_feed_open(session, entry, &feed);
    int64_t total = call->total;
    if (!failed && entry->set > 0) call->total = split_of(session, entry->set - 1, split)->count;
    int64_t chunk = entry->batch > 0 ? entry->batch : call->total;
    failed = failed || outputs_open(session, entry, chunk, &arrays, &outputs);
    for (int64_t offset = 0; offset < call->total && !failed; offset += chunk) {
        call->batch = chunk < call->total - offset ? chunk : call->total - offset;
        call->offset = offset;
        nnd_feed_fill(session, &feed, split, NULL, offset, call->batch);
        call->inputs = feed.inputs;
        call->outputs = outputs;
        failed = nnd_entry_run(session, entry, call);
        if (failed) nnd_feed_blame(session, &feed, split, NULL, offset, call->batch, call);
        for (int i = 0; i < entry->output_count && !failed; i++)
            collected_add(stream->finish, collected, &entry->outputs[i], &arrays[i], offset,
                          call->batch);
    }
    for (int i = 0; arrays != NULL && i < entry->output_count; i++)
        nnd_array_free(&arrays[i]);
    free(arrays);
    free(outputs);
    call->outputs = NULL;
    call->total = total;
    nnd_feed_close(&feed);
    return failed;
}

/* An entry that works on no examples, or (finish) on all of them at once. */
static int stream_once(NndSession *session, const NndEntry *entry, int split, NndCall *call,
                       const Collected *collected, NndArray *arrays)
{
    NndFeed feed;
    void **outputs = calloc((size_t)entry->output_count + 1, sizeof *outputs);
    int failed = outputs == NULL ? nnd_error(&session->error, "out of memory") : 0;
    for (int i = 0; !failed && arrays != NULL && i < entry->output_count; i++)
        outputs[i] = arrays[i].data;
    if (nnd_feed_open(session, entry, &feed)) failed = 1;
    call->batch = entry->batch > 0 ? call->total : 0;
    call->offset = 0;
    if (!failed && entry->batch > 0)
        nnd_feed_fill(session, &feed, split, NULL, 0, call->total);
    for (int i = 0; !failed && collected != NULL && i < entry->input_count; i++)
        if (collected[i].port != NULL) feed.inputs[i] = collected[i].array.data;
    call->inputs = feed.inputs;
    call->outputs = outputs;
    if (!failed) failed = nnd_entry_run(session, entry, call);
    call->outputs = NULL;
    nnd_feed_close(&feed);
    free(outputs);
    return failed;
}

int nnd_init_run(NndSession *session)
{
    NndCall call = {.seed = session->seed};
    return stream_once(session, session->program->init, NND_TRAIN, &call, NULL, NULL);
}

int nnd_stream_run(NndSession *session, const NndStreamed *stream, int set, int split,
                   NndCall *call, NndArray *outputs)
{
    Collected *collected;
    call->total = set < 0 ? 1 : session->sets[set].splits[split].count;
    int failed = collected_open(session, stream->finish, call->total, &collected) ||
                 (stream->reset != NULL &&
                  stream_once(session, stream->reset, split, call, NULL, NULL));
    for (int i = 0; i < stream->pass_count && !failed; i++)
        failed = stream_pass(session, stream, stream->passes[i], split, call, collected);
    if (!failed) failed = stream_once(session, stream->finish, split, call, collected, outputs);
    collected_close(stream->finish, collected);
    return failed;
}
