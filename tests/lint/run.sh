#!/bin/bash
# Runs every check, shows what the failing ones found, and ends with "N passed, N failed".
#   tests/lint/run.sh [CHECK…]     all of them, or these ("layers", "clang_tidy" …)
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 2
tests/deps.sh lint || exit 2

checks=(layers circles symbols contracts words columns sql_states end_codes no_sleep banned style sizes readmes docs manuals mutants format
    shellcheck sdk gcc_analyzer gcc_werror clang_werror cppcheck clang_tidy)
[ $# -gt 0 ] && checks=("$@")
passed=0 failed=0
for check in "${checks[@]}"; do
    began=$SECONDS
    script=(tests/lint/"$check".[sp][hy])
    if out=$("${script[0]}" check 2>&1); then
        passed=$((passed + 1))
        printf 'ok    %-14s %4d s\n' "$check" $((SECONDS - began))
    else
        failed=$((failed + 1))
        printf 'FAIL  %-14s %4d s\n%s\n' "$check" $((SECONDS - began)) "$out"
    fi
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
