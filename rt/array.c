/* array.c -- error messages, aligned memory, arrays and their conversion.
 * An array's data is one block from nnd_alloc, row-major. SPDX-License-Identifier: 0BSD */
#include "nnd_rt.h"

#include <stdarg.h>
#include <stdlib.h>

int nnd_error(NndError *error, const char *format, ...)
{
    if (error != NULL) {
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(error->text, sizeof error->text, format, arguments);
        va_end(arguments);
    }
    return 1;
}

size_t nnd_type_size(NndType type)
{
    switch (type) {
    case NND_REAL: return sizeof(float);
    case NND_INT: return sizeof(int32_t);
    case NND_BOOL:
    case NND_U8: return 1;
    case NND_F64: return sizeof(double);
    }
    return 0;
}

const char *nnd_type_name(NndType type)
{
    switch (type) {
    case NND_REAL: return "real";
    case NND_INT: return "int";
    case NND_BOOL: return "bool";
    case NND_U8: return "u8";
    case NND_F64: return "f64";
    }
    return "?";
}

void *nnd_alloc(size_t size)
{
    void *memory = NULL;
    if (size > SIZE_MAX - 256) return NULL;
    if (posix_memalign(&memory, 128, (size + 128) & ~(size_t)127) != 0) return NULL;
    return memory;
}

void nnd_free(void *memory)
{
    free(memory);
}

int64_t nnd_shape_size(int rank, const int64_t *shape)
{
    int64_t size = 1;
    bool empty = false;
    for (int axis = 0; axis < rank; axis++) {
        if (shape[axis] < 0) return -1;
        if (shape[axis] == 0) empty = true;
    }
    if (empty) return 0;
    for (int axis = 0; axis < rank; axis++)
        if (__builtin_mul_overflow(size, shape[axis], &size)) return -1;
    return size;
}

int64_t nnd_array_size(const NndArray *array)
{
    return nnd_shape_size(array->rank, array->shape);
}

int nnd_array_alloc(NndArray *array, NndError *error)
{
    char text[200];
    int64_t count = nnd_array_size(array), bytes;
    array->data = NULL;
    nnd_shape_text(text, sizeof text, array->rank, array->shape);
    if (count < 0 || __builtin_mul_overflow(count, (int64_t)nnd_type_size(array->type), &bytes))
        return nnd_error(error, "an array %s%s is too large", nnd_type_name(array->type), text);
    array->data = nnd_alloc((size_t)bytes);
    if (array->data == NULL)
        return nnd_error(error, "out of memory: an array %s%s takes %.1f MiB",
                         nnd_type_name(array->type), text, (double)bytes / 1048576.0);
    memset(array->data, 0, (size_t)bytes);
    return 0;
}

void nnd_array_free(NndArray *array)
{
    nnd_free(array->data);
    array->data = NULL;
}

double nnd_array_value(const NndArray *array, int64_t i)
{
    switch (array->type) {
    case NND_REAL: return ((const float *)array->data)[i];
    case NND_INT: return ((const int32_t *)array->data)[i];
    case NND_BOOL:
    case NND_U8: return ((const uint8_t *)array->data)[i];
    case NND_F64: return ((const double *)array->data)[i];
    }
    return 0;
}

static void array_set(NndArray *array, int64_t i, double value)
{
    switch (array->type) {
    case NND_REAL: ((float *)array->data)[i] = (float)value; break;
    case NND_INT: ((int32_t *)array->data)[i] = (int32_t)value; break;
    case NND_BOOL:
    case NND_U8: ((uint8_t *)array->data)[i] = (uint8_t)value; break;
    case NND_F64: ((double *)array->data)[i] = value; break;
    }
}

static bool array_may_become(NndType from, NndType to)
{
    if (to == NND_REAL || to == NND_F64) return true;
    if (from == NND_REAL || from == NND_F64) return false;
    if (to == NND_BOOL) return from == NND_BOOL;
    return true;
}

int nnd_array_convert(NndArray *array, NndType type, NndError *error)
{
    if (array->type == type) return 0;
    if (!array_may_become(array->type, type))
        return nnd_error(error, "%s does not turn into %s by itself", nnd_type_name(array->type),
                         nnd_type_name(type));
    if (array->data == NULL) {
        array->type = type;
        return 0;
    }
    int64_t size = nnd_array_size(array);
    NndArray converted = *array;
    converted.type = type;
    if (nnd_array_alloc(&converted, error)) return 1;
    for (int64_t i = 0; i < size; i++) {
        double value = nnd_array_value(array, i);
        if (type == NND_U8 && (value < 0 || value > 255)) {
            nnd_array_free(&converted);
            return nnd_error(error, "element %lld is %.0f, which is no u8 (0 to 255)", (long long)i,
                             value);
        }
        array_set(&converted, i, value);
    }
    nnd_array_free(array);
    *array = converted;
    return 0;
}

const char *nnd_shape_text(char *text, size_t size, int rank, const int64_t *shape)
{
    size_t used = 0;
    snprintf(text, size, "[");
    for (int axis = 0; axis < rank; axis++) {
        used = strlen(text);
        snprintf(text + used, size - used, "%s%lld", axis == 0 ? "" : ", ", (long long)shape[axis]);
    }
    used = strlen(text);
    snprintf(text + used, size - used, "]");
    return text;
}
