/* file.c -- files that appear whole or not at all, and the run folder. A new file is written beside
 * its place under a temporary name, synced, renamed over the old one, and the folder is synced: a
 * crash at any moment leaves the old or the new contents. SPDX-License-Identifier: 0BSD */
#include "nnd_rt.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static void file_forget(NndFile *file)
{
    free(file->path);
    free(file->temporary);
    *file = (NndFile){.file = NULL};
}

int nnd_file_create(NndFile *file, const char *path, NndError *error)
{
    size_t size = strlen(path) + 40;
    *file = (NndFile){.path = malloc(size), .temporary = malloc(size)};
    if (file->path == NULL || file->temporary == NULL) {
        file_forget(file);
        return nnd_error(error, "%s: out of memory", path);
    }
    strcpy(file->path, path);
    snprintf(file->temporary, size, "%s.%ld.new", path, (long)getpid());
    file->file = fopen(file->temporary, "wb");
    if (file->file == NULL) {
        nnd_error(error,
                  "%s: cannot be written: %s (does its folder exist, and may you write there?)",
                  path, strerror(errno));
        file_forget(file);
        return 1;
    }
    return 0;
}

void nnd_file_write(NndFile *file, const void *data, size_t size)
{
    if (file->code != 0 || size == 0) return;
    errno = 0;
    if (fwrite(data, 1, size, file->file) != size) file->code = errno != 0 ? errno : EIO;
}

void nnd_file_print(NndFile *file, const char *format, ...)
{
    char text[1000];
    va_list list;
    va_start(list, format);
    int n = vsnprintf(text, sizeof text, format, list);
    va_end(list);
    if (n > 0) nnd_file_write(file, text, (size_t)n < sizeof text ? (size_t)n : sizeof text - 1);
}

void nnd_file_abandon(NndFile *file)
{
    if (file->file != NULL) fclose(file->file);
    if (file->temporary != NULL) unlink(file->temporary);
    file_forget(file);
}

/* Makes the renaming itself last. Not every file system can; that is no error. */
static void file_sync_folder(const char *path)
{
    char folder[4096];
    const char *slash = strrchr(path, '/');
    size_t length = slash == NULL ? 1 : slash == path ? 1 : (size_t)(slash - path);
    if (length >= sizeof folder) return;
    memcpy(folder, slash == NULL ? "." : path, length);
    folder[length] = 0;
    int descriptor = open(folder, O_RDONLY);
    if (descriptor < 0) return;
    (void)fsync(descriptor);
    close(descriptor);
}

int nnd_file_commit(NndFile *file, NndError *error)
{
    if (file->code == 0 && (fflush(file->file) != 0 || fsync(fileno(file->file)) != 0))
        file->code = errno;
    if (fclose(file->file) != 0 && file->code == 0) file->code = errno;
    file->file = NULL;
    if (file->code == 0 && rename(file->temporary, file->path) != 0) file->code = errno;
    int code = file->code;
    if (code != 0) {
        nnd_error(error, "%s: cannot be written: %s%s; the old contents are kept", file->path,
                  strerror(code), code == ENOSPC || code == EFBIG ? " (is the disk full?)" : "");
        nnd_file_abandon(file);
        return 1;
    }
    file_sync_folder(file->path);
    file_forget(file);
    return 0;
}

int nnd_folder_make(const char *path, NndError *error)
{
    struct stat status;
    if (mkdir(path, 0777) != 0 && errno != EEXIST)
        return nnd_error(error, "%s: the folder cannot be made: %s", path, strerror(errno));
    if (stat(path, &status) != 0)
        return nnd_error(error, "%s: cannot be reached: %s", path, strerror(errno));
    if (!S_ISDIR(status.st_mode))
        return nnd_error(error, "%s: a folder is wanted here, and a file stands in its place",
                         path);
    if (access(path, W_OK | X_OK) != 0)
        return nnd_error(error, "%s: may not be written: %s", path, strerror(errno));
    return 0;
}
