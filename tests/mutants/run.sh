#!/bin/bash
# Breaks the program on purpose, one promise at a time, and demands that a test notices.
#   tests/mutants/run.sh [NAME…]      all of tests/mutants/*.patch, or these
# Each patch says in its first lines which programs it needs, which command must fail on it, and by which
# of its checks. Each such command must succeed on the tree as it is: else its failure would prove nothing.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 2
top=$PWD tree=$PWD/build/mutants/tree log=$PWD/build/mutants/log
limit=${MUTANT_LIMIT:-300} # seconds for one command

# The files as they are now, also what is not committed, and the tools of npm that tests/deps.sh has installed. From
# scratch: an object that an interrupted run has left would be a mutant's.
copy_tree() {
    rm -rf "$tree" "$log"
    mkdir -p "$tree" "$log"
    git ls-files -z --cached --others --exclude-standard | tar --null -T - -cf - | tar -xf - -C "$tree"
    mkdir -p "$tree/build" && ln -s "$top"/build/{openapi-tools,nginx,prometheus} "$tree/build/"
}

header() { sed -nE "s/^# $2: //p" "$top/tests/mutants/$1.patch"; }

# shellcheck disable=SC2046 # the programs are words
build() { # NAME: what it needs
    (cd "$tree" && make -s -j"$(nproc)" VARIANT=debug $(header "$1" builds | sed -E 's@(^| )@\1build/debug/@g')) >"$log/$1.build" 2>&1
}

run() { # COMMAND LOG; FUT_BUILD is the mutant's
    (cd "$tree" && FUT_BUILD=$tree/build/debug timeout --kill-after=10 "$limit" bash -c "$1") >"$2" 2>&1
}

# The failed checks that LOG tells, one a line: "test: message" of libcheck's failures, and of tests that tests/support
# has ended with 1; what the tools print as a breach, "part: figure" of tests/soak, a test's name of Python's unittest,
# "page: what" of the web page in a browser (tests/run.sh indents it). Not among them: a test that was stopped by its
# time limit, or that died.
failed_checks() {
    sed -nE -e 's/^ *[^ :]+:[0-9]+:F:[^:]*(: [^:]*)?:([^: ]+):[0-9]+: /\2: /p' \
        -e 's/^ *[^ :]+:[0-9]+:E:[^:]*(: [^:]*)?:([^: ]+):[0-9]+: .*(Early exit with return value 1)$/\2: \3/p' \
        -e 's/^BREACH: //p' \
        -e 's/^FAIL +([a-z]+: )/\1/p' -e 's/^ *FAIL: (test_[A-Za-z0-9_]+) .*/\1/p' \
        -e 's/^ +(support: exit status [0-9]+: )?FAIL ([^ :])/page: \2/p' "$1"
}

declare -A sound=() # commands that succeed on the tree as it is
is_sound() { # NAME COMMAND
    [ -n "${sound[$2]-}" ] && return 0
    build "$1" && run "$2" "$log/$1.sound" || return 1
    sound[$2]=1
}

passed=0 failed=0
verdict() { # ok|FAIL NAME TEXT
    printf '%-5s %-24s %4d s  %s\n' "$1" "$2" $((SECONDS - began)) "$3"
    if [ "$1" = ok ]; then passed=$((passed + 1)); else failed=$((failed + 1)); fi
}

# One command against the mutant; a failed check must begin with CHECK.
judge() { # NAME COMMAND CHECK LOG
    local by
    if run "$2" "$4"; then
        verdict FAIL "$1" "it survived: $2"
        return
    fi
    by=$(failed_checks "$4" | awk -v check="$3" 'index($0, check) == 1 { print substr($0, 1, 160); exit }')
    if [ -n "$by" ]; then
        verdict ok "$1" "${2##*/}: $by"
    else
        verdict FAIL "$1" "$2 failed, but not by \"$3\": $4"
    fi
}

try() {
    local patch=$top/tests/mutants/$1.patch commands checks i
    [ -r "$patch" ] || { verdict FAIL "$1" "there is no such mutant" && return; }
    mapfile -t commands < <(header "$1" 'caught by')
    mapfile -t checks < <(header "$1" 'check')
    if [ "${#commands[@]}" -eq 0 ] || [ "${#commands[@]}" -ne "${#checks[@]}" ]; then
        verdict FAIL "$1" "each \"caught by\" needs its \"check\""
        return
    fi
    for i in "${!commands[@]}"; do
        is_sound "$1" "${commands[i]}" ||
            { verdict FAIL "$1" "its test fails on the tree as it is: $log/$1.sound" && return; }
    done
    (cd "$tree" && patch -s --no-backup-if-mismatch -p1 <"$patch") || { verdict FAIL "$1" "the patch does not fit any more" && return; }
    if build "$1"; then
        for i in "${!commands[@]}"; do
            judge "$1" "${commands[i]}" "${checks[i]}" "$log/$1.$i"
            began=$SECONDS
        done
    else
        verdict FAIL "$1" "it does not build: $log/$1.build"
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
