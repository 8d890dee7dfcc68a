#!/bin/bash
# What MAX_WORKERS and MAX_THREADS do: 50 texts through a program that computes for about 0.1 s, and
# 50 fetches of a service that answers after a second.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

texts=50 calls=50 delay_ms=1000
[ -n "$quick" ] && texts=6 calls=6 delay_ms=100
make_texts "$scratch/texts" "$texts"
# awk counts the words of the text so often that it takes a tenth of a second of CPU.
cat >"$scratch/handlers.json" <<'JSON'
{"count": {"exec": ["awk", "{ text[NR] = $0 } END { for (r = 0; n < 3000000; r++) for (i = 1; i <= NR; i++) { n += split(text[i], w); if (r == 0) words = n } print words }"], "lane": "cpu", "timeout": 60}}
JSON
start_fetch_server

echo "### What the knobs do"
echo
row "" "50 texts, cpu lane (s)" "50 fetches of 1 s, io lane (s)"
row "---" "---:" "---:"
for workers in 1 2 4; do
    start_daemon MAX_WORKERS=$workers FUTURED_HANDLERS="$scratch/handlers.json"
    report=$(play --handler count --dir "$scratch/texts")
    stop_daemon
    row "\`MAX_WORKERS=$workers\`" "$(rounded "$(field "$report" seconds)" 2)" ""
done
for threads in 1 20; do
    start_daemon MAX_THREADS=$threads
    report=$(play --handler http --count "$calls" --input "{\"url\":\"http://$fetch_address/delay/$delay_ms\"}")
    stop_daemon
    row "\`MAX_THREADS=$threads\`" "" "$(rounded "$(field "$report" seconds)" 2)"
done
