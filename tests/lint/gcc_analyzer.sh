#!/bin/bash
# gcc's -fanalyzer finds nothing in the program. A file whose preprocessed text was clean before is not
# looked at again.
. "$(dirname "$0")/lib.sh"
flags=(-std=c11 -I. -iquote workers/sdk -isystem "$(pkg-config --variable=includedir libpq)" -D_GNU_SOURCE '-DFUT_VERSION="lint"')

analyze_one() {
    local file=$1 sum out stamp=build/lint-analyzer/$1.sum
    sum=$({ gcc --version && gcc -E "${flags[@]}" "$file"; } 2>&1 | sha256sum)
    [ -e "$stamp" ] && [ "$(cat "$stamp")" = "$sum" ] && return 0
    out=$(gcc "${flags[@]}" -O1 -fanalyzer -c "$file" -o /dev/null 2>&1)
    if [ -n "$out" ]; then
        echo "$out"
        return 1
    fi
    mkdir -p "$(dirname "$stamp")" && echo "$sum" >"$stamp"
}

if [ "${1-}" = one ]; then
    analyze_one "$2"
    exit
fi
c_files "${folders[@]}" | grep '\.c$' | xargs -r -P2 -n1 "$PWD/tests/lint/gcc_analyzer.sh" one
