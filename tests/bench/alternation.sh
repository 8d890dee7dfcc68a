#!/bin/bash
# Connections that alternate POST and long-poll for a minute: is every request answered, how late?
set -euo pipefail
. "$(dirname "$0")/lib.sh"

seconds=60
[ -n "$quick" ] && seconds=3
echo "### POST and long-poll in turn, $seconds s"
echo
row connections answered unanswered "late (over 5 s)" "rate/s" "p50 ms" "p99 ms" "longest ms"
row "---:" "---:" "---:" "---:" "---:" "---:" "---:" "---:"
for connections in 64 256 1000; do
    start_daemon
    report=$(load --mode post-poll --connections $connections --seconds "$seconds") || true
    stop_daemon
    row $connections "$(field "$report" answered)" \
        "$(($(field "$report" unanswered) + $(field "$report" disconnected)))" \
        "$(field "$report" late)" "$(rounded "$(field "$report" rate)")" "$(field "$report" p50_ms)" \
        "$(field "$report" p99_ms)" "$(field "$report" max_ms)"
done
