/* rt_files.h -- for the tests of the runtime: a scratch folder, files made of bytes, and the check
 * that an operation failed with a message that says certain things. */
#ifndef NND_RT_FILES_H
#define NND_RT_FILES_H

#include "nnd_rt.h"
#include "unit.h"

#include <dirent.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

/* A new folder under /tmp, whose name lives in `name`. */
static inline const char *files_folder(char name[64])
{
    strcpy(name, "/tmp/nnd_test_XXXXXX");
    if (mkdtemp(name) == NULL) abort();
    return name;
}

/* How many entries a folder has. */
static inline int files_count(const char *folder)
{
    DIR *dir = opendir(folder);
    int count = -2; /* . and .. */
    while (dir != NULL && readdir(dir) != NULL)
        count++;
    if (dir != NULL) closedir(dir);
    return count;
}

static inline void files_remove(const char *folder)
{
    char path[400];
    DIR *dir = opendir(folder);
    for (struct dirent *entry; dir != NULL && (entry = readdir(dir)) != NULL;) {
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        if (entry->d_name[0] != '.') remove(path);
    }
    if (dir != NULL) closedir(dir);
    rmdir(folder);
}

/* Writes folder/name and returns its path, valid until the next call. */
static inline const char *files_write(const char *folder, const char *name, const void *bytes,
                                      size_t size)
{
    static char path[400];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "wb");
    if (file == NULL || fwrite(bytes, 1, size, file) != size || fclose(file) != 0) abort();
    return path;
}

static inline const char *files_write_gz(const char *folder, const char *name, const void *bytes,
                                         size_t size)
{
    static char path[400];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    gzFile file = gzopen(path, "wb");
    if (file == NULL || gzwrite(file, bytes, (unsigned)size) != (int)size) abort();
    gzclose(file);
    return path;
}

/* Reads a whole file into memory that the caller frees. */
static inline unsigned char *files_read(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL) return NULL;
    unsigned char *bytes = malloc(1 << 20);
    *size = fread(bytes, 1, 1 << 20, file);
    fclose(file);
    return bytes;
}

/* The bytes that hexadecimal digits stand for. */
static inline size_t files_hex(const char *hex, unsigned char *bytes)
{
    size_t size = strlen(hex) / 2;
    for (size_t i = 0; i < size; i++) {
        char digits[3] = {hex[2 * i], hex[2 * i + 1], 0};
        bytes[i] = (unsigned char)strtol(digits, NULL, 16);
    }
    return size;
}

/* Whether `failed` and the message contains every one of the words, which '|' separates. */
static inline int files_says(int failed, const NndError *error, const char *words)
{
    char text[300];
    snprintf(text, sizeof text, "%s", words);
    int good = failed != 0;
    for (char *word = strtok(text, "|"); word != NULL; word = strtok(NULL, "|"))
        if (strstr(error->text, word) == NULL) good = 0;
    if (!good)
        printf("\n    %s; wanted an error with %s, got: %s\n", failed ? "failed" : "succeeded",
               words, error->text);
    return good;
}

#endif
