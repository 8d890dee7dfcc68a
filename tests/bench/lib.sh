# shellcheck shell=bash disable=SC2034 # its variables are for who sources it
# Sourced by the measurements: build=$1, the scratch daemon, the tools.
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 2
build=${1:?usage: tests/bench/PART.sh BUILD}
. tests/support/daemon.sh
quick=${FUT_BENCH_QUICK:-}

# load OPTION…: the load tool against the daemon; its report.
load() {
    "$build/tests/tools/load" --address "$daemon_address" "$@"
}

play() {
    "$build/tests/tools/play" --quiet 1 --address "$daemon_address" "$@" | tail -1
}

# row CELL…: one line of a table.
row() {
    local cell
    printf '|'
    for cell in "$@"; do printf ' %s |' "$cell"; done
    printf '\n'
}

# rounded NUMBER [DIGITS]
rounded() {
    LC_ALL=C awk -v n="$1" -v d="${2:-0}" 'BEGIN { printf "%.*f", d, n }'
}
