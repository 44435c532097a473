/* libraries.c -- the table of libraries that only some readers need; the build says how to compile
 * and link with them. */
#include "libraries.h"

const ReaderLibrary reader_libraries[READER_LIBRARIES] = {
    {"hdf5", "NND_HDF5", "nnd_rt_hdf5.o", NND_HDF5_CFLAGS, NND_HDF5_LIBS},
    {"images", "NND_IMAGES", "nnd_rt_images.o", "", NND_IMAGES_LIBS},
};

bool reader_library_used(const ReaderLibrary *library, const NndProgram *program)
{
    for (int i = 0; i < program->file_count; i++)
        if (strcmp(program->files[i].kind, library->kind) == 0) return true;
    return false;
}
