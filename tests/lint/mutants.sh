#!/bin/bash
# Each patch of tests/mutants still applies, what it makes compiles, it names its programs, command and check, and the
# sources of its programs exist. Whether the test notices is what `make mutants` tells.
. "$(dirname "$0")/lib.sh"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# Applies the patch to copies of the files that it changes, and compiles those.
check_patch() { # PATCH
    local tree=$scratch/${1##*/} file said
    while read -r file; do
        mkdir -p "$tree/${file%/*}" && cp "$file" "$tree/$file"
    done < <(sed -nE 's@^\+\+\+ b/@@p' "$1")
    if ! said=$(patch -p1 -s -f -d "$tree" <"$1" 2>&1); then
        echo "$1: does not apply: ${said//$'\n'/; }"
        return
    fi
    while read -r file; do
        # shellcheck disable=SC2086 # the flags are words
        said=$(gcc -std=c11 -w -fsyntax-only -D_GNU_SOURCE -DFUT_VERSION='""' -I"$tree" -iquote "$tree/workers/sdk" -I. \
            -iquote workers/sdk $libpq "$tree/$file" 2>&1 | grep -m1 error:) &&
            echo "$1: does not compile: $said"
    done < <(cd "$tree" && find . -name '*.c' -printf '%P\n')
}
libpq=$(pkg-config --cflags libpq)
export scratch libpq
export -f check_patch
report < <(printf '%s\n' tests/mutants/*.patch | xargs -P "$(nproc)" -I{} bash -c 'check_patch {}' | sort)
report < <(awk '
    FNR == 1 { if (NR > 1) missing(); at = FILENAME; split("", seen) }
    match($0, /^# (builds|caught by|check): /) { seen[substr($0, 3, RLENGTH - 4)] = 1 }
    /^# builds: / { for (i = 3; i <= NF; i++) if (index($i, "tests/") == 1) print at, $i }
    END { missing() }
    function missing() {
        if (!("builds" in seen && "caught by" in seen && "check" in seen))
            print at ": wants lines # builds, # caught by and # check"
    }' tests/mutants/*.patch | while read -r patch program; do
    case $program in
    tests/*) [ -e "${program%.so}.c" ] || echo "$patch: there is no ${program%.so}.c" ;;
    *) echo "$patch $program" ;;
    esac
done)
finish
