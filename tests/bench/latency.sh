#!/bin/bash
# Do slow cpu tasks move the latency of io tasks? `Prefer: wait` of echo on 4 connections, with the cpu
# lane idle, with it full of tasks that wait, and full of tasks that compute.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

seconds=15
[ -n "$quick" ] && seconds=2
cat >"$scratch/handlers.json" <<'JSON'
{"linger": {"exec": ["sleep", "2"], "lane": "cpu"}}
JSON
start_fetch_server
fetch="{\"url\":\"http://$fetch_address/delay/200\"}"

# fill HANDLER INPUT N: so many tasks, not waited for.
fill() {
    load --mode post --connections 4 --handler "$1" --input "$2" --requests "$3" >/dev/null
}

# Keeps about ten of the twenty io threads busy with fetches, until stop_feeding.
feed() {
    while fill http "$fetch" 10 && curl -s "http://$fetch_address/delay/200"; do :; done >/dev/null 2>&1 &
    feeder=$!
}

stop_feeding() {
    kill "$feeder"
    wait "$feeder" 2>/dev/null || true
}

measure() {
    local report
    report=$(load --mode post-wait --connections 4 --seconds "$seconds")
    row "$1" "$(rounded "$(field "$report" rate)")" "$(field "$report" p50_ms)" \
        "$(field "$report" p99_ms)" "$(field "$report" p99_9_ms)" "$(field "$report" max_ms)"
}

echo "### Latency of io tasks (echo, \`Prefer: wait\`, 4 connections, $seconds s)"
echo
row "the lanes meanwhile" "rate/s" "p50 ms" "p99 ms" "p99.9 ms" "longest ms"
row "---" "---:" "---:" "---:" "---:" "---:"
start_daemon MAX_WORKERS=2
measure "both idle"
stop_daemon
start_daemon MAX_WORKERS=2
feed
measure "io lane about half busy with fetches"
stop_feeding
stop_daemon
start_daemon MAX_WORKERS=2 FUTURED_HANDLERS="$scratch/handlers.json"
fill linger null 1000
measure "cpu lane: 1,000 tasks that wait 2 s each"
stop_daemon
start_daemon MAX_WORKERS=1
fill primes '{"below":5000000}' 1000
measure "cpu lane: 1,000 tasks that compute, 1 worker on $(nproc) CPUs"
stop_daemon
start_daemon MAX_WORKERS="$(nproc)"
fill primes '{"below":5000000}' 1000
measure "cpu lane: 1,000 tasks that compute, $(nproc) workers on $(nproc) CPUs"
stop_daemon
start_daemon MAX_WORKERS="$(nproc)"
fill primes '{"below":5000000}' 1000
feed
measure "both: $(nproc) workers compute, io lane half busy with fetches"
stop_feeding
stop_daemon
