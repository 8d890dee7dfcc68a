#!/bin/bash
# A deep queue: resident memory of the daemon, and the rate of submits, with a million queued tasks.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

million=1000000 sample=100000
[ -n "$quick" ] && million=20000 sample=5000
cat >"$scratch/handlers.json" <<'JSON'
{"linger": {"exec": ["sleep", "3600"], "lane": "cpu"}}
JSON

rss_mib() {
    rounded "$(($(sed -n 's/^VmRSS:[^0-9]*\([0-9]*\).*/\1/p' "/proc/$daemon_pid/status")))e0" |
        awk '{ printf "%.1f", $1 / 1024 }'
}

submit() {
    report=$(load --mode post --connections 64 --handler linger --requests "$1")
}

tell() {
    row "$1" "$(rounded "$(field "$report" rate)")" "$(field "$report" p50_ms)" \
        "$(field "$report" p99_ms)" "$(field "$report" max_ms)" "$(rss_mib)" \
        "$(du -m "$scratch/futured.db" | cut -f1)"
}

echo "### A million queued tasks (64 B of input, 64 connections)"
echo
row "queue" "submits/s" "p50 ms" "p99 ms" "longest ms" "RSS MiB" "database MiB"
row "---" "---:" "---:" "---:" "---:" "---:" "---:"
start_daemon MAX_WORKERS=1 FUTURED_HANDLERS="$scratch/handlers.json" FUTURED_DRAIN=0 \
    FUTURED_KILL_GRACE=100ms
submit 1000
tell "0 to 1,000"
submit "$sample"
tell "to $sample more"
submit "$((million - sample))"
tell "up to $million"
submit "$sample"
tell "$sample more on top"
stop_daemon
