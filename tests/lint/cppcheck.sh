#!/bin/bash
# cppcheck finds nothing. A suppression stands in the code, with its reason.
. "$(dirname "$0")/lib.sh"
# ctuuninitvar minds out parameters that a callee fills. cppcheck.cfg tells jansson's loops.
mkdir -p build/lint-cppcheck
c_files "${folders[@]}" tests/support tests/tools | grep '\.c$' |
    xargs -r cppcheck --quiet --std=c11 --enable=warning,performance,portability --inline-suppr \
        --suppress=missingIncludeSystem --suppress=ctuuninitvar --error-exitcode=1 -j2 -I. -D_GNU_SOURCE \
        -DFUT_VERSION='"lint"' \
        --library=tests/lint/cppcheck.cfg --cppcheck-build-dir=build/lint-cppcheck --template=gcc
