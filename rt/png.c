/* png.c -- pictures as PNG files (W3C, Portable Network Graphics, second edition): 8 bits, grey or
 * three colours, no filters, compressed by zlib. Several pictures become one sheet, in rows, a line
 * apart. SPDX-License-Identifier: 0BSD */
#include "nnd_rt.h"

#include <stdlib.h>
#ifdef NND_NO_ZLIB
#include "no_zlib.h"
#else
#include <zlib.h>
#endif

static void png_word(unsigned char *at, uint32_t word)
{
    for (int i = 0; i < 4; i++)
        at[i] = (unsigned char)(word >> (24 - 8 * i));
}

/* Appends a chunk: length, kind, data, CRC of the two. Returns the end. */
static unsigned char *png_chunk(unsigned char *at, const char *kind, const unsigned char *data,
                                size_t size)
{
    png_word(at, (uint32_t)size);
    memcpy(at + 4, kind, 4);
    if (size > 0) memcpy(at + 8, data, size);
    png_word(at + 8 + size, (uint32_t)crc32(crc32(0, NULL, 0), at + 4, (uInt)(size + 4)));
    return at + 12 + size;
}

int nnd_png_encode(const unsigned char *pixels, int64_t rows, int64_t columns, int colours,
                   unsigned char **png, size_t *size, NndError *error)
{
    static const unsigned char signature[8] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
    unsigned char head[13] = {0};
    size_t line = (size_t)columns * (size_t)colours;
    *png = NULL;
    if (rows < 1 || columns < 1 || rows > 100000 || columns > 100000 ||
        (size_t)rows * (line + 1) > (size_t)1 << 30)
        return nnd_error(error, "a picture of %lld rows and %lld columns", (long long)rows,
                         (long long)columns);
    size_t plain = (size_t)rows * (line + 1);
    uLongf packed = compressBound((uLong)plain);
    unsigned char *lines = malloc(plain), *data = malloc(packed);
    *png = malloc(packed + 100);
    for (int64_t i = 0; i < rows && lines != NULL; i++) {
        lines[(size_t)i * (line + 1)] = 0; /* no filter */
        memcpy(lines + (size_t)i * (line + 1) + 1, pixels + (size_t)i * line, line);
    }
    bool memory = lines != NULL && data != NULL && *png != NULL;
    bool good = memory && compress2(data, &packed, lines, (uLong)plain, 6) == Z_OK;
    if (good) {
        png_word(head, (uint32_t)columns);
        png_word(head + 4, (uint32_t)rows);
        head[8] = 8;
        head[9] = colours == 3 ? 2 : 0;
        memcpy(*png, signature, sizeof signature);
        unsigned char *at = png_chunk(*png + sizeof signature, "IHDR", head, sizeof head);
        at = png_chunk(at, "IDAT", data, packed);
        at = png_chunk(at, "IEND", NULL, 0);
        *size = (size_t)(at - *png);
    }
    free(lines);
    free(data);
    if (good) return 0;
    free(*png);
    *png = NULL;
    return nnd_error(error, memory ? "the program was built without zlib" : "out of memory");
}

static unsigned char png_level(const NndArray *array, int64_t i)
{
    if (array->type == NND_U8) return ((const uint8_t *)array->data)[i];
    double value = array->type == NND_REAL  ? ((const float *)array->data)[i]
                   : array->type == NND_F64 ? ((const double *)array->data)[i]
                   : array->type == NND_INT ? ((const int32_t *)array->data)[i] / 255.0
                                            : ((const uint8_t *)array->data)[i];
    return value > 0 ? value < 1 ? (unsigned char)(255 * value + 0.5) : 255 : 0; /* NaN is black */
}

int nnd_png_sheet(const NndArray *array, bool many, unsigned char **png, size_t *size,
                  NndError *error)
{
    int64_t count = many ? array->shape[0] : 1, rows = array->shape[many];
    int64_t columns = array->shape[many + 1], wide = 1;
    int colours = array->rank > many + 2 ? (int)array->shape[many + 2] : 1;
    *png = NULL;
    if (count < 1 || rows < 1 || columns < 1 || count > 10000)
        return nnd_error(error, "there is no picture to draw");
    while (wide * wide < count)
        wide++;
    int64_t high = (count + wide - 1) / wide;
    int64_t width = wide * (columns + 1) - 1, height = high * (rows + 1) - 1;
    if (width > 20000 || height > 20000)
        return nnd_error(error, "the pictures are too large to draw");
    unsigned char *pixels = malloc((size_t)(width * height * colours));
    if (pixels == NULL) return nnd_error(error, "out of memory");
    memset(pixels, 255, (size_t)(width * height * colours));
    for (int64_t n = 0; n < count; n++)
        for (int64_t i = 0; i < rows; i++)
            for (int64_t k = 0; k < columns * colours; k++) {
                int64_t row = n / wide * (rows + 1) + i, column = n % wide * (columns + 1);
                pixels[(row * width + column) * colours + k] =
                    png_level(array, (n * rows + i) * columns * colours + k);
            }
    int failed = nnd_png_encode(pixels, height, width, colours, png, size, error);
    free(pixels);
    return failed;
}
