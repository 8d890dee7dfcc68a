#!/bin/bash
# Runs test programs, as many at a time as there are CPUs but at most four, and adds up what libcheck counted.
#   tests/run.sh BUILD PROGRAM…                  FUT_TEST_JOBS=1: one after the other
# One line per program, when it has ended, the whole output of those that failed, and as the last line
# "N passed, N failed"; FUT_NEXT stands before it when all passed. A program that dies, hangs, or counts nothing is a
# failure of its own.
set -uo pipefail

build=${1:?usage: tests/run.sh BUILD PROGRAM…}
shift
FUT_BUILD=$(cd "$build" && pwd) || exit 2
export FUT_BUILD

# Seconds for a whole program; libcheck's own time-outs (per test) grow by the same factor, and are doubled since
# programs share the CPUs. They end what hangs and say nothing of speed.
factor=1
case "$build" in
*asan*) factor=3 ;;
*tsan*) factor=6 ;;
esac
limit=$((${FUT_TEST_LIMIT:-400} * factor))
jobs=${FUT_TEST_JOBS:-$(($(nproc) < 4 ? $(nproc) : 4))}
export CK_TIMEOUT_MULTIPLIER=$((2 * factor))
export ASAN_OPTIONS="halt_on_error=1:exitcode=99:detect_leaks=1${ASAN_OPTIONS:+:$ASAN_OPTIONS}"
export UBSAN_OPTIONS="halt_on_error=1:print_stacktrace=1${UBSAN_OPTIONS:+:$UBSAN_OPTIONS}"
export TSAN_OPTIONS="halt_on_error=1:exitcode=66:second_deadlock_stack=1${TSAN_OPTIONS:+:$TSAN_OPTIONS}"

outputs=$(mktemp -d)
declare -A program_of=() output_of=() began_at=() # by pid
started=0 passed=0 failed=0
# shellcheck disable=SC2317 # called by the trap
end_all() {
    [ ${#program_of[@]} -eq 0 ] || kill "${!program_of[@]}" 2>/dev/null
    wait
    rm -rf "$outputs"
}
trap end_all EXIT
trap 'exit 130' INT TERM
# Otherwise programs in the background ignore SIGINT, and so does all that they start.
set -m

start() { # PROGRAM
    local out=$outputs/$((++started))
    timeout --kill-after=10 "$limit" "$1" >"$out" 2>&1 </dev/null &
    program_of[$!]=$1 output_of[$!]=$out began_at[$!]=$(date +%s.%N)
}

# Sets checks and bad from libcheck's lines "NN%: Checks: a, Failures: b, Errors: c" in FILE.
count() { # FILE
    read -r checks bad < <(awk -F'[:,] *' '/^[0-9]+%: Checks: / { a += $3; b += $5 + $7 }
        END { print a + 0, b + 0 }' "$1")
}

ended() { # PID STATUS
    local program=${program_of[$1]} out=${output_of[$1]} why='' took checks bad
    took=$(awk -v a="${began_at[$1]}" -v b="$(date +%s.%N)" 'BEGIN { printf "%.1f", b - a }')
    count "$out"
    if [ "$2" -eq 124 ] || [ "$2" -eq 137 ]; then
        why="did not end within $limit s"
    elif [ "$checks" -eq 0 ]; then
        why="ran no checks (exit status $2)"
    elif [ "$2" -ne 0 ] && [ "$bad" -eq 0 ]; then
        why="exit status $2 although no check failed"
    fi
    passed=$((passed + checks - bad))
    failed=$((failed + bad))
    [ -n "$why" ] && failed=$((failed + 1))
    if [ -z "$why" ] && [ "$bad" -eq 0 ]; then
        printf 'ok    %-48s %4d checks %7s s\n' "${program#"$build"/}" "$checks" "$took"
        sed -n 's/^.*NOTE: /      NOTE: /p' "$out" | uniq # less was tested than there is to test
    else
        printf 'FAIL  %-48s %4d checks %7s s  %s\n' "${program#"$build"/}" "$checks" "$took" "$why"
        sed 's/^/      /' "$out"
    fi
    unset "program_of[$1]" "output_of[$1]" "began_at[$1]"
    rm -f "$out"
}

end_one() {
    local pid='' status=0
    wait -n -p pid "${!program_of[@]}" || status=$?
    ended "$pid" "$status"
}

for program in "$@"; do
    [ ${#program_of[@]} -lt "$jobs" ] || end_one
    start "$program"
done
while [ ${#program_of[@]} -gt 0 ]; do
    end_one
done

if [ $((passed + failed)) -eq 0 ]; then
    echo "no test programs were given"
    failed=1
fi
[ "$failed" -eq 0 ] && [ -n "${FUT_NEXT-}" ] && echo "$FUT_NEXT"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
