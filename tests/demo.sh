#!/bin/bash
# `make demo`: starts the daemon on a scratch database and plays the two scenarios it was made for by the
# command line, with its bar on a terminal: 50 API calls of a second each on 20 threads, and 50 texts through
# the cpu workers. Then it ends and leaves nothing behind.
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

future=$build/future
export FUTURED_URL=http://$daemon_address

# map HANDLER FILE…: a task for each file; shows the command, its bar, some results and the time.
map() {
    local handler=$1 began=$EPOCHREALTIME file
    shift
    echo "   \$ future map $handler ${1%/*}/* --out $scratch/$handler"
    "$future" map "$handler" "$@" --out "$scratch/$handler"
    for file in "${@:1:5}"; do
        file=${file##*/}
        printf '   %-24s %s\n' "$file" "$(head -c 120 "$scratch/$handler/$file" | head -1)"
    done
    awk -v n=$# -v from="$began" -v to="$EPOCHREALTIME" 'BEGIN { printf "   %d tasks took %.1f s\n\n", n, to - from }'
}

mkdir "$scratch/calls"
for i in {01..50}; do
    echo "{\"url\":\"http://$fetch_address/delay/1000\"}" >"$scratch/calls/$i.json"
done
echo "1. 50 API calls that take a second each, on 20 threads"
map http "$scratch"/calls/*
echo "2. 50 texts, their words counted by \`wc -w\` in the cpu workers"
map wordcount "$scratch"/texts/*
echo "3. The same texts, their most frequent words by a pipeline of six programs"
map topwords "$scratch"/texts/*
echo "4. What fails shows up in groups, each with why and an example"
echo '{"url":"no address"}' >"$scratch/calls/bad.json"
echo "   \$ future run http @$scratch/calls/bad.json --wait"
"$future" run http "@$scratch/calls/bad.json" --wait || true
echo "   \$ future failures"
"$future" failures
echo
echo "What the daemon counted: future pools"
"$future" pools
echo
stop_daemon
echo "The daemon has ended; the scratch directory is removed."
