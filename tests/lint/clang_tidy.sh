#!/bin/bash
# clang-tidy finds nothing (.clang-tidy says what it looks for and what is left out, and why).
# A file whose preprocessed text was clean before is not looked at again.
. "$(dirname "$0")/lib.sh"
flags=(-std=c11 -I. -iquote workers/sdk -isystem "$(pkg-config --variable=includedir libpq)" -D_GNU_SOURCE '-DFUT_VERSION="lint"')

tidy_one() {
    local file=$1 sum stamp=build/lint-tidy/$1.sum
    sum=$({ clang-tidy --version && cat .clang-tidy "$file" && clang -E "${flags[@]}" "$file"; } 2>&1 | sha256sum)
    [ -e "$stamp" ] && [ "$(cat "$stamp")" = "$sum" ] && return 0
    clang-tidy --quiet "$file" -- "${flags[@]}" 2> >(grep -vE '^[0-9]+ warnings? (generated|treated)|^Suppressed|^Use -header' >&2) || return 1
    mkdir -p "$(dirname "$stamp")" && echo "$sum" >"$stamp"
}

if [ "${1-}" = one ]; then
    tidy_one "$2"
    exit
fi
c_files "${folders[@]}" tests/support tests/tools | grep '\.c$' |
    xargs -r -P2 -n1 "$PWD/tests/lint/clang_tidy.sh" one
