/* state.c -- strings by key: the metadata of a safetensors file, and in it the state of a training
 * (step, epoch, seed, ...). Keys keep the order in which they were first set.
 * SPDX-License-Identifier: 0BSD */
#include "nnd_rt.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

static char *state_copy(const char *text)
{
    char *copy = malloc(strlen(text) + 1);
    if (copy != NULL) strcpy(copy, text);
    return copy;
}

static int state_find(const NndState *state, const char *key)
{
    for (int i = 0; i < state->count; i++)
        if (strcmp(state->keys[i], key) == 0) return i;
    return -1;
}

static int state_grow(NndState *state)
{
    int capacity = state->capacity * 2 + 16;
    char **keys = realloc(state->keys, (size_t)capacity * sizeof *keys);
    if (keys == NULL) return 1;
    state->keys = keys;
    char **values = realloc(state->values, (size_t)capacity * sizeof *values);
    if (values == NULL) return 1;
    state->values = values;
    state->capacity = capacity;
    return 0;
}

int nnd_state_set(NndState *state, const char *key, const char *value, NndError *error)
{
    int at = state_find(state, key);
    char *copy = state_copy(value), *name = NULL;
    if (at < 0) name = state_copy(key);
    if (copy == NULL ||
        (at < 0 && (name == NULL || (state->count == state->capacity && state_grow(state))))) {
        free(copy);
        free(name);
        return nnd_error(error, "out of memory");
    }
    if (at < 0) {
        at = state->count++;
        state->keys[at] = name;
    } else {
        free(state->values[at]);
    }
    state->values[at] = copy;
    return 0;
}

int nnd_state_set_int(NndState *state, const char *key, int64_t value, NndError *error)
{
    char text[40];
    snprintf(text, sizeof text, "%" PRId64, value);
    return nnd_state_set(state, key, text, error);
}

int nnd_state_set_real(NndState *state, const char *key, double value, NndError *error)
{
    char text[40];
    snprintf(text, sizeof text, "%a", value);
    return nnd_state_set(state, key, text, error);
}

const char *nnd_state_get(const NndState *state, const char *key)
{
    int at = state_find(state, key);
    return at < 0 ? NULL : state->values[at];
}

static int state_bad(const char *key, const char *text, NndError *error)
{
    if (text == NULL) return nnd_error(error, "the checkpoint's state has no entry \"%s\"", key);
    return nnd_error(error, "the checkpoint's state has \"%s\" = \"%.60s\", which is no number",
                     key, text);
}

int nnd_state_get_int(const NndState *state, const char *key, int64_t *value, NndError *error)
{
    const char *text = nnd_state_get(state, key);
    char *end;
    errno = 0;
    long long number = text == NULL ? 0 : strtoll(text, &end, 10);
    if (text == NULL || *text == 0 || *end != 0 || errno != 0) return state_bad(key, text, error);
    *value = number;
    return 0;
}

int nnd_state_get_real(const NndState *state, const char *key, double *value, NndError *error)
{
    const char *text = nnd_state_get(state, key);
    char *end;
    double number = text == NULL ? 0 : strtod(text, &end);
    if (text == NULL || *text == 0 || *end != 0) return state_bad(key, text, error);
    *value = number;
    return 0;
}

void nnd_state_free(NndState *state)
{
    for (int i = 0; i < state->count; i++) {
        free(state->keys[i]);
        free(state->values[i]);
    }
    free(state->keys);
    free(state->values);
    *state = (NndState){.keys = NULL};
}
