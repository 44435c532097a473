#!/bin/sh
# Writes the make variables of the libraries that only some readers of data files need, empty where
# a library is not installed: HDF5_CFLAGS, HDF5_LIBS, IMAGES_LIBS. $CC is the C compiler.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# links CODE FLAGS...: whether a program of this line compiles and links
links() {
    printf '#include <stddef.h>\n#include <stdio.h>\n%b\n' "$1" > "$work/a.c"
    shift
    ${CC:-cc} -o "$work/a" "$work/a.c" "$@" 2>/dev/null
}
hdf5='#include <hdf5.h>\nint main(void) { return H5open(); }'
images='#include <jpeglib.h>\n#include <png.h>
int main(void) { return png_access_version_number() == 0 || jpeg_std_error(NULL) == NULL; }'
serial=/usr/include/hdf5/serial # where Debian keeps it
if links "$hdf5" -lhdf5; then
    echo 'HDF5_CFLAGS :='
    echo 'HDF5_LIBS := -lhdf5'
elif links "$hdf5" -isystem $serial -lhdf5_serial; then
    echo "HDF5_CFLAGS := -isystem $serial"
    echo 'HDF5_LIBS := -lhdf5_serial'
fi
if links "$images" -lpng -ljpeg; then echo 'IMAGES_LIBS := -lpng -ljpeg'; fi
