#!/bin/bash
# Runs the fuzz targets one after the other, from their corpus, SECONDS each.
#   tests/fuzz/run.sh BUILD SECONDS [TARGET…]     all of them, or these ("task", "route" …)
# One line per target: inputs tried, and code edges reached. An input that breaks a target is kept
# in BUILD/finds/TARGET and named; the last line is "N passed, N failed". What is learnt on the way
# stays in BUILD/learnt/TARGET, so that the next run begins there.
set -uo pipefail
build=${1:?usage: tests/fuzz/run.sh BUILD SECONDS [TARGET…]}
seconds=${2:?usage: tests/fuzz/run.sh BUILD SECONDS [TARGET…]}
shift 2
here=$(dirname "$0")
export ASAN_OPTIONS="detect_leaks=1${ASAN_OPTIONS:+:$ASAN_OPTIONS}"
export UBSAN_OPTIONS="print_stacktrace=1${UBSAN_OPTIONS:+:$UBSAN_OPTIONS}"

targets=("$@")
if [ $# -eq 0 ]; then
    for source in "$here"/fuzz_*.c; do
        name=${source##*/fuzz_}
        targets+=("${name%.c}")
    done
fi

passed=0 failed=0
out=$(mktemp)
trap 'rm -f "$out"' EXIT

# The error first: who shows only the head of it has the reason.
tell_why() {
    grep -m1 -A11 -E 'ERROR: |runtime error: |Assertion|deadly signal' "$out" || echo "no error is named"
    echo "..."
    tail -60 "$out"
}

for target in "${targets[@]}"; do
    learnt=$build/learnt/$target finds=$build/finds/$target
    mkdir -p "$learnt" "$finds"
    options=(-max_total_time="$seconds" -max_len=4096 -timeout=20 -rss_limit_mb=1024
        -artifact_prefix="$finds/" -print_final_stats=1)
    [ -e "$here/$target.dict" ] && options+=(-dict="$here/$target.dict")
    if timeout --kill-after=10 $((seconds + 120)) "$build/tests/fuzz/fuzz_$target" "${options[@]}" \
        "$learnt" "$here/corpus/$target" >"$out" 2>&1; then
        passed=$((passed + 1)) verdict='ok   '
    else
        failed=$((failed + 1)) verdict='FAIL '
    fi
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$out" | tail -1)
    edges=$(sed -nE 's/.* cov: ([0-9]+) .*/\1/p' "$out" | tail -1)
    printf '%s %-16s %10s inputs %6s edges\n' "$verdict" "$target" "${runs:-?}" "${edges:-?}"
    [ "$verdict" = 'ok   ' ] || tell_why | sed 's/^/      /'
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
