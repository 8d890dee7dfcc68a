#!/bin/bash
# Everything compiles without a warning by gcc, optimised (some warnings need that).
. "$(dirname "$0")/lib.sh"
objects=()
while read -r file; do objects+=("build/lint-gcc/${file%.c}.o"); done < <(c_files | grep '\.c$')
make -s -k -j2 VARIANT=lint-gcc DEVELOPER=1 CC=gcc CFLAGS=-O2 "${objects[@]}"
