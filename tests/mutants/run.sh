#!/bin/bash
# Breaks the program on purpose, one promise at a time, and demands that a test notices.
#   tests/mutants/run.sh [NAME…]      all of tests/mutants/*.patch, or these
# Each patch says in its first lines which programs it needs and which command must fail on it. That
# command must succeed on the tree as it is: else its failure would prove nothing.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 2
top=$PWD tree=$PWD/build/mutants/tree log=$PWD/build/mutants/log
limit=${MUTANT_LIMIT:-240} # seconds for one command

# The files as they are now, also what is not committed. From scratch: an object that an interrupted
# run has left would be a mutant's.
copy_tree() {
    rm -rf "$tree"
    mkdir -p "$tree" "$log"
    git ls-files -z --cached --others --exclude-standard | tar --null -T - -cf - | tar -xf - -C "$tree"
}

header() { sed -nE "s/^# $2: //p" "$top/tests/mutants/$1.patch"; }

# shellcheck disable=SC2046 # the programs are words
build() { # NAME: what it needs
    (cd "$tree" && make -s -j"$(nproc)" VARIANT=debug $(header "$1" builds | sed -E 's@(^| )@\1build/debug/@g')) >"$log/$1.build" 2>&1
}

run() { # NAME LOG: its command; FUT_BUILD is the mutant's
    (cd "$tree" && FUT_BUILD=$tree/build/debug timeout --kill-after=10 "$limit" \
        bash -c "$(header "$1" 'caught by')") >"$2" 2>&1
}

declare -A sound=() # commands that succeed on the tree as it is
is_sound() {
    local command
    command=$(header "$1" 'caught by')
    [ -n "${sound[$command]-}" ] && return 0
    build "$1" && run "$1" "$log/$1.sound" || return 1
    sound[$command]=1
}

passed=0 failed=0
verdict() { # ok|FAIL NAME TEXT
    printf '%-5s %-24s %4d s  %s\n' "$1" "$2" $((SECONDS - began)) "$3"
    if [ "$1" = ok ]; then passed=$((passed + 1)); else failed=$((failed + 1)); fi
}

try() {
    local patch=$top/tests/mutants/$1.patch
    [ -r "$patch" ] || { verdict FAIL "$1" "there is no such mutant" && return; }
    is_sound "$1" || { verdict FAIL "$1" "its test fails on the tree as it is: $log/$1.sound" && return; }
    (cd "$tree" && patch -s --no-backup-if-mismatch -p1 <"$patch") || { verdict FAIL "$1" "the patch does not fit any more" && return; }
    if ! build "$1"; then
        verdict FAIL "$1" "it does not build: $log/$1.build"
    elif run "$1" "$log/$1.run"; then
        verdict FAIL "$1" "it survived: $(header "$1" 'caught by')"
    else
        verdict ok "$1" "caught by: $(header "$1" 'caught by')"
    fi
    (cd "$tree" && patch -s --no-backup-if-mismatch -R -p1 <"$patch")
}

names=("$@")
[ $# -gt 0 ] || mapfile -t names < <(basename -s .patch tests/mutants/*.patch)
copy_tree || exit 2
for name in "${names[@]}"; do
    began=$SECONDS
    try "$name"
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
