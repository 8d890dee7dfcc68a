#!/bin/bash
# Submits per second against the bare limit: a server on the same library that parses the same request
# and stores nothing. Both in turn, so that the machine's mood hits both.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

seconds=8
[ -n "$quick" ] && seconds=1
start_server bench_bare "$build/tests/tools/bench_bare"
bare_address=$address

measure() { # title, mode, connections, address
    local report
    report=$("$build/tests/tools/load" --address "$4" --mode "$2" --connections "$3" --seconds "$seconds")
    row "$1" "$3" "$(rounded "$(field "$report" rate)")" "$(field "$report" p50_ms)" \
        "$(field "$report" p99_ms)" "$(field "$report" max_ms)"
}

echo "### Submits against the bare limit"
echo
row "" connections "rate/s" "p50 ms" "p99 ms" "longest ms"
row "---" "---:" "---:" "---:" "---:" "---:"
for connections in 1 64 256; do
    measure "bare libmicrohttpd and jansson, nothing stored" post $connections "$bare_address"
    start_daemon
    measure "futured: POST, on disk before the 202 (and echo run meanwhile)" post $connections "$daemon_address"
    stop_daemon
    start_daemon
    measure "futured: POST with \`Prefer: wait\`: submit, run, result" post-wait $connections "$daemon_address"
    stop_daemon
done
