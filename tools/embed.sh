#!/bin/sh
# Writes a C file that holds the files named as arguments as strings:
#   const EmbeddedFile nnd_embedded[] = { {"lang/std/losses.nnd", "..."}, ..., {0, 0} };
# Strings are written as byte lists, for ISO C limits the length of a string literal.
set -eu
echo '#include "embedded.h"'
n=0
for file in "$@"; do
    echo "static const char file_$n[] = {"
    od -An -v -tu1 "$file" | sed 's/  *\([0-9]\)/\1/; s/  */,/g; s/$/,/'
    echo '0};'
    n=$((n + 1))
done
echo 'const EmbeddedFile nnd_embedded[] = {'
n=0
for file in "$@"; do
    echo "    {\"$file\", file_$n, sizeof file_$n - 1},"
    n=$((n + 1))
done
echo '    {0, 0, 0}};'
