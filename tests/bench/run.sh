#!/bin/bash
# Measures what README.md of this folder shows, and prints it as Markdown.
#   tests/bench/run.sh BUILD [PART…]       parts: knobs alternation waiters latency million submit
# FUT_BENCH_QUICK=1 makes everything small: to see whether it works, not how fast it is.
set -euo pipefail
cd "$(dirname "$0")/../.."
build=${1:?usage: tests/bench/run.sh BUILD [PART…]}
shift
parts=(knobs alternation waiters latency million submit)
[ $# -gt 0 ] && parts=("$@")

cpu=$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -1)
echo "futured $("$build/futured" --version | cut -d' ' -f2), $(date -u +%Y-%m-%d), $(nproc) × ${cpu:-CPU}, $(uname -sr)"
for part in "${parts[@]}"; do
    echo
    "tests/bench/$part.sh" "$build"
done
