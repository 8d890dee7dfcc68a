#!/bin/bash
# Runs test programs one after the other and adds up what libcheck counted.
#   tests/run.sh BUILD PROGRAM…
# One line per program, the whole output of those that failed, and as the last line
# "N passed, N failed"; FUT_NEXT stands before it when all passed. A program that dies, hangs, or counts nothing is a
# failure of its own.
set -uo pipefail

build=${1:?usage: tests/run.sh BUILD PROGRAM…}
shift
FUT_BUILD=$(cd "$build" && pwd) || exit 2
export FUT_BUILD

# Seconds for a whole program; libcheck's own time-outs (per test) grow by the same factor.
factor=1
case "$build" in
*asan*) factor=3 ;;
*tsan*) factor=6 ;;
esac
limit=$((${FUT_TEST_LIMIT:-300} * factor))
export CK_TIMEOUT_MULTIPLIER=$factor
export ASAN_OPTIONS="halt_on_error=1:exitcode=99:detect_leaks=1${ASAN_OPTIONS:+:$ASAN_OPTIONS}"
export UBSAN_OPTIONS="halt_on_error=1:print_stacktrace=1${UBSAN_OPTIONS:+:$UBSAN_OPTIONS}"
export TSAN_OPTIONS="halt_on_error=1:exitcode=66:second_deadlock_stack=1${TSAN_OPTIONS:+:$TSAN_OPTIONS}"

out=$(mktemp)
trap 'rm -f "$out"' EXIT
passed=0 failed=0

# Sets checks and bad from libcheck's lines "NN%: Checks: a, Failures: b, Errors: c" in $out.
count() {
    read -r checks bad < <(awk -F'[:,] *' '/^[0-9]+%: Checks: / { a += $3; b += $5 + $7 }
        END { print a + 0, b + 0 }' "$out")
}

for program in "$@"; do
    began=$(date +%s.%N)
    timeout --kill-after=10 "$limit" "$program" >"$out" 2>&1
    status=$?
    took=$(awk -v a="$began" -v b="$(date +%s.%N)" 'BEGIN { printf "%.1f", b - a }')
    count
    why=
    if [ "$status" -eq 124 ] || [ "$status" -eq 137 ]; then
        why="did not end within $limit s"
    elif [ "$checks" -eq 0 ]; then
        why="ran no checks (exit status $status)"
    elif [ "$status" -ne 0 ] && [ "$bad" -eq 0 ]; then
        why="exit status $status although no check failed"
    fi
    passed=$((passed + checks - bad))
    failed=$((failed + bad))
    [ -n "$why" ] && failed=$((failed + 1))
    if [ -z "$why" ] && [ "$bad" -eq 0 ]; then
        printf 'ok    %-48s %4d checks %7s s\n' "${program#"$build"/}" "$checks" "$took"
        sed -n 's/^.*NOTE: /      NOTE: /p' "$out" # less was tested than there is to test
    else
        printf 'FAIL  %-48s %4d checks %7s s  %s\n' "${program#"$build"/}" "$checks" "$took" "$why"
        sed 's/^/      /' "$out"
    fi
done

if [ $((passed + failed)) -eq 0 ]; then
    echo "no test programs were given"
    failed=1
fi
[ "$failed" -eq 0 ] && [ -n "${FUT_NEXT-}" ] && echo "$FUT_NEXT"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
