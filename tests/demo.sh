#!/bin/bash
# `make demo`: starts the daemon on a scratch database and plays the two scenarios it was made for, with
# their progress on the terminal: 50 API calls of a second each on 20 threads, and 50 texts through the
# cpu workers. Then it ends and leaves nothing behind.
set -euo pipefail
cd "$(dirname "$0")/.."
build=${1:?usage: tests/demo.sh BUILD}
. tests/support/daemon.sh

make_texts "$scratch/texts" 50
cat >"$scratch/handlers.json" <<'JSON'
{
  "wordcount": {"exec": ["wc", "-w"], "lane": "cpu", "timeout": 10},
  "topwords": {
    "exec": ["sh", "-c", "tr -cs 'A-Za-z' '\\n' | tr 'A-Z' 'a-z' | grep -E '.{5,}' | sort | uniq -c | sort -rn | head -5 | awk '{ printf \"%s%s %d\", sep, $2, $1; sep = \", \" } END { print \"\" }'"],
    "lane": "cpu",
    "timeout": 30,
    "description": "the five most frequent words of five letters and more"
  }
}
JSON
start_fetch_server
start_daemon MAX_THREADS=20 FUTURED_HANDLERS="$scratch/handlers.json" ${MAX_WORKERS:+MAX_WORKERS=$MAX_WORKERS}
echo "futured runs at http://$daemon_address, its database is $scratch/futured.db"
echo

play() {
    "$build/tests/tools/play" --address "$daemon_address" "$@" >"$scratch/out"
    sed '$d' "$scratch/out"
    report=$(tail -1 "$scratch/out")
}

echo "1. 50 API calls that take a second each, on 20 threads"
play --title "calls" --handler http --count 50 --input "{\"url\":\"http://$fetch_address/delay/1000\"}"
echo "   50 seconds of waiting took $(field "$report" seconds) s"
echo
echo "2. 50 texts, their words counted by \`wc -w\` in the cpu workers"
play --title "texts" --handler wordcount --dir "$scratch/texts" --show 5
echo "   $(field "$report" tasks) texts took $(field "$report" seconds) s"
echo
echo "3. The same texts, their most frequent words by a pipeline of six programs"
play --title "words" --handler topwords --dir "$scratch/texts" --show 5
echo "   $(field "$report" tasks) texts took $(field "$report" seconds) s"
echo
echo "What the daemon counted: curl http://$daemon_address/v1/stats"
curl -sS "http://$daemon_address/v1/stats"
echo
stop_daemon
echo "The daemon has ended; the scratch directory is removed."
