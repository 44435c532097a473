/* images.c -- the PNG and JPEG files of a folder, in the order of their names, as one array of
 * bytes [n, rows, columns, colours], by libpng and libjpeg. They are built in where NND_IMAGES is
 * defined; without them the reader is there, and says what is missing.
 * SPDX-License-Identifier: 0BSD */
#include "nnd_rt.h"

#ifdef NND_IMAGES
#include <dirent.h>
#include <errno.h>
#include <jpeglib.h>
#include <jerror.h>
#include <png.h>
#include <setjmp.h>
#include <stdlib.h>
#include <strings.h>

/* A file that is being decoded. Both libraries report errors by a call that must not return. */
typedef struct Image {
    struct jpeg_error_mgr errors; /* first: libjpeg's functions get this address */
    const char *path;
    NndError *error;
    FILE *file;
    int64_t most;          /* bytes that a picture in this file can have */
    int64_t shape[3];      /* rows, columns, colours */
    unsigned char *pixels; /* NULL: only the shape is wanted */
    jmp_buf failed;
} Image;

static int image_check(Image *image, int64_t rows, int64_t columns, int64_t colours)
{
    const int64_t *shape = image->shape;
    if (rows * columns * colours > image->most)
        return nnd_error(image->error,
                         "%s: is said to have %lld x %lld pixels, more than such a file "
                         "can hold; is it damaged?",
                         image->path, (long long)columns, (long long)rows);
    if (image->pixels != NULL && (rows != shape[0] || columns != shape[1] || colours != shape[2]))
        return nnd_error(image->error, "%s: its size has changed meanwhile", image->path);
    image->shape[0] = rows;
    image->shape[1] = columns;
    image->shape[2] = colours;
    return 0;
}

static void image_png_failed(png_structp png, png_const_charp text)
{
    Image *image = png_get_error_ptr(png);
    nnd_error(image->error, "%s: is truncated or damaged, or no PNG file: %s", image->path, text);
    longjmp(image->failed, 1);
}

static void image_png_warned(png_structp png, png_const_charp text)
{
    (void)png;
    (void)text;
}

static int image_png_decode(Image *image, png_structp png, png_infop info)
{
    if (setjmp(image->failed)) return 1;
    png_init_io(png, image->file);
    png_read_info(png, info);
    png_set_expand(png); /* palettes, transparency, fewer than 8 bits */
    png_set_strip_16(png);
    int passes = png_set_interlace_handling(png);
    png_read_update_info(png, info);
    int64_t rows = png_get_image_height(png, info);
    if (image_check(image, rows, png_get_image_width(png, info), png_get_channels(png, info)))
        return 1;
    if (image->pixels == NULL) return 0;
    size_t line = (size_t)(image->shape[1] * image->shape[2]);
    for (int pass = 0; pass < passes; pass++)
        for (int64_t row = 0; row < rows; row++)
            png_read_row(png, image->pixels + (size_t)row * line, NULL);
    png_read_end(png, NULL);
    return 0;
}

static int image_png(Image *image)
{
    png_structp png =
        png_create_read_struct(PNG_LIBPNG_VER_STRING, image, image_png_failed, image_png_warned);
    png_infop info = png != NULL ? png_create_info_struct(png) : NULL;
    int failed = info != NULL ? image_png_decode(image, png, info)
                              : nnd_error(image->error, "%s: out of memory", image->path);
    if (png != NULL) png_destroy_read_struct(&png, &info, NULL);
    return failed;
}

static void image_jpeg_failed(j_common_ptr jpeg)
{
    Image *image = (Image *)jpeg->err;
    char text[JMSG_LENGTH_MAX];
    image->errors.format_message(jpeg, text);
    nnd_error(image->error, "%s: is truncated or damaged, or no JPEG file: %s", image->path, text);
    longjmp(image->failed, 1);
}

/* libjpeg makes up what a truncated file lacks; here that is an error. */
static void image_jpeg_warned(j_common_ptr jpeg, int level)
{
    int code = jpeg->err->msg_code;
    if (level < 0 && (code == JWRN_JPEG_EOF || code == JWRN_HIT_MARKER)) image_jpeg_failed(jpeg);
}

static int image_jpeg_decode(Image *image, struct jpeg_decompress_struct *jpeg)
{
    if (setjmp(image->failed)) return 1;
    jpeg_create_decompress(jpeg);
    jpeg_stdio_src(jpeg, image->file);
    jpeg_read_header(jpeg, TRUE);
    jpeg->out_color_space = jpeg->num_components == 1 ? JCS_GRAYSCALE : JCS_RGB;
    jpeg_calc_output_dimensions(jpeg);
    if (image_check(image, jpeg->output_height, jpeg->output_width, jpeg->output_components))
        return 1;
    if (image->pixels == NULL) return 0;
    jpeg_start_decompress(jpeg);
    while (jpeg->output_scanline < jpeg->output_height) {
        JSAMPROW row = image->pixels +
                       (size_t)jpeg->output_scanline * (size_t)(image->shape[1] * image->shape[2]);
        jpeg_read_scanlines(jpeg, &row, 1);
    }
    jpeg_finish_decompress(jpeg);
    return 0;
}

static int image_jpeg(Image *image)
{
    struct jpeg_decompress_struct jpeg;
    memset(&jpeg, 0, sizeof jpeg);
    jpeg.err = jpeg_std_error(&image->errors);
    image->errors.error_exit = image_jpeg_failed;
    image->errors.emit_message = image_jpeg_warned;
    int failed = image_jpeg_decode(image, &jpeg);
    jpeg_destroy_decompress(&jpeg);
    return failed;
}

static bool image_is(const char *name, const char *end)
{
    size_t n = strlen(name), m = strlen(end);
    return n > m && strcasecmp(name + n - m, end) == 0;
}

static int image_read(const char *path, int64_t shape[3], unsigned char *pixels, NndError *error)
{
    Image image = {.path = path, .error = error, .pixels = pixels};
    memcpy(image.shape, shape, sizeof image.shape);
    image.file = fopen(path, "rb");
    if (image.file == NULL)
        return nnd_error(error, "%s: cannot be opened: %s", path, strerror(errno));
    long size = fseek(image.file, 0, SEEK_END) == 0 ? ftell(image.file) : -1;
    image.most = 65536 + 1040 * (int64_t)size; /* neither format can compress more */
    rewind(image.file);
    int failed = size < 0                 ? nnd_error(error, "%s: cannot be read", path)
                 : image_is(path, ".png") ? image_png(&image)
                                          : image_jpeg(&image);
    fclose(image.file);
    memcpy(shape, image.shape, sizeof image.shape);
    return failed;
}

static int image_order(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int images_list(const char *path, NndNames *names, NndError *error)
{
    DIR *folder = opendir(path);
    int failed = 0;
    if (folder == NULL)
        return nnd_error(error,
                         "%s: the folder cannot be opened: %s (is the path right? it is "
                         "taken relative to the folder of the .nnd file)",
                         path, strerror(errno));
    for (struct dirent *entry; !failed && (entry = readdir(folder)) != NULL;)
        if (entry->d_name[0] != '.' &&
            (image_is(entry->d_name, ".png") || image_is(entry->d_name, ".jpg") ||
             image_is(entry->d_name, ".jpeg")))
            failed = nnd_names_add(names, entry->d_name, strlen(entry->d_name), error);
    closedir(folder);
    if (!failed && names->count == 0)
        failed = nnd_error(error, "%s: the folder holds no .png, .jpg or .jpeg file", path);
    if (!failed) qsort(names->names, (size_t)names->count, sizeof *names->names, image_order);
    return failed;
}

/* Reads the files in order; into `array` if its data are there, otherwise only their sizes. */
static int images_all(const char *path, const NndNames *names, NndArray *array, NndError *error)
{
    int64_t *first = array->shape + 1;
    for (int i = 0; i < names->count; i++) {
        char full[4096], here[100], there[100];
        int64_t shape[3] = {first[0], first[1], first[2]};
        size_t size = (size_t)(first[0] * first[1] * first[2]);
        unsigned char *pixels = array->data;
        if (snprintf(full, sizeof full, "%s/%s", path, names->names[i]) >= (int)sizeof full)
            return nnd_error(error, "%.200s...: the path is too long", path);
        if (image_read(full, shape, pixels != NULL ? pixels + (size_t)i * size : NULL, error))
            return 1;
        if (i == 0) memcpy(first, shape, sizeof shape);
        if (memcmp(first, shape, sizeof shape) != 0)
            return nnd_error(error,
                             "%s: is %s (rows, columns, colours), but %s is %s; all images "
                             "of a folder must be alike",
                             full, nnd_shape_text(here, sizeof here, 3, shape), names->names[0],
                             nnd_shape_text(there, sizeof there, 3, first));
    }
    return 0;
}

int nnd_images_read(const char *path, const NndSourceOptions *options, bool header_only,
                    NndArray *array, NndError *error)
{
    NndNames names = {.names = NULL};
    (void)options;
    array->type = NND_U8;
    array->rank = 4;
    int failed = images_list(path, &names, error);
    array->shape[0] = names.count;
    failed = failed || images_all(path, &names, array, error);
    if (!failed && !header_only)
        failed = nnd_array_alloc(array, error) || images_all(path, &names, array, error);
    nnd_names_free(&names);
    if (failed) nnd_array_free(array);
    return failed;
}

#else

int nnd_images_read(const char *path, const NndSourceOptions *options, bool header_only,
                    NndArray *array, NndError *error)
{
    (void)options;
    (void)header_only;
    (void)array;
    return nnd_error(
        error,
        "%s: images are read by libpng and libjpeg, which this program was built "
        "without: install the packages libpng-dev and libjpeg-dev, and build nndc again",
        path);
}

#endif
