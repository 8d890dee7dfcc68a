#!/bin/bash
# Idle long-polls of one future: resident memory per waiter, the time until the daemon has noticed
# that half of them hung up, and until the other half have their answer.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

many=10000
[ -n "$quick" ] && many=1000

rss_kib() {
    sed -n 's/^VmRSS:[^0-9]*\([0-9]*\).*/\1/p' "/proc/$daemon_pid/status"
}

# tell COMMAND: to the tool that holds them; its answer.
tell() {
    printf '%s\n' "$1" >&"${holder[1]}"
    read -r -t 120 report <&"${holder[0]}"
}

ms() {
    LC_ALL=C awk -v s="$(field "$report" seconds)" 'BEGIN { printf "%.0f", s * 1000 }'
}

mib() {
    LC_ALL=C awk -v kib="$1" 'BEGIN { printf "%.1f", kib / 1024 }'
}

per_waiter() {
    LC_ALL=C awk -v kib=$((with - before)) -v n="$held" 'BEGIN { printf "%.2f", kib / n }'
}

echo "### $many idle long-polls of one running future"
echo
row held "RSS before, MiB" "RSS with them, MiB" "KiB each" "opening them, ms" \
    "$((many / 2)) hang up: noticed after ms" "$((many / 2)) released after ms" unanswered \
    "RSS afterwards, MiB"
row "---:" "---:" "---:" "---:" "---:" "---:" "---:" "---:" "---:"
start_daemon FUTURED_MAX_CONNECTIONS=$((many * 12 / 10)) FUTURED_MAX_WAIT=600s
load --mode post-wait --connections 4 --requests 1000 >/dev/null
id=$(field "$(curl -s "http://$daemon_address/v1/tasks" -H 'Content-Type: application/json' \
    -d '{"handler":"sleep","input":{"seconds":3600}}')" id)
before=$(rss_kib)
coproc holder { exec "$build/tests/tools/hold" --address "$daemon_address" --id "$id" \
    --connections "$many" --wait 600; }
server_pids+=("$holder_PID") # it waits for commands until the script ends
read -r -t 120 report <&"${holder[0]}"
held=$(field "$report" held) opened=$(ms) with=$(rss_kib)
tell "drop $((many / 2))"
noticed=$(ms)
tell cancel
row "$held" "$(mib "$before")" "$(mib "$with")" "$(per_waiter)" "$opened" "$noticed" "$(ms)" \
    "$(($(field "$report" unanswered) + $(field "$report" lost)))" "$(mib "$(rss_kib)")"
stop_daemon
