#!/bin/bash
# The first seed example with curl alone: COUNT calls of a service, 20 at a time, each result shown the
# moment it is there.
#   as_completed.sh DAEMON_URL CALLED_URL [COUNT]
# The last line is "N of COUNT". Exit status 1 when one is missing, failed, or came twice.
set -euo pipefail
daemon=${1:?usage: as_completed.sh DAEMON_URL CALLED_URL [COUNT]} called=${2:?} count=${3:-50}

inputs=$(for ((i = 1; i <= count; i++)); do printf '%s{"url":"%s"}' "${comma-}" "$called" && comma=,; done)
made=$(curl -sS --fail-with-body "$daemon/v1/batches" -d "{\"handler\":\"http\",\"inputs\":[$inputs]}")
batch=$(sed -E 's/^\{"id":"([^"]*)".*/\1/' <<<"$made")

declare -A seen=()
n=0 ended=
while IFS= read -r line; do
    case $line in
    *'"event":"done"'*) ;;
    *'"event":"end"'*) ended=yes && continue ;;
    *) continue ;;
    esac
    id=$(sed -E 's/.*"data":\{"id":"([^"]*)".*/\1/' <<<"$line")
    [[ $line == *'"state":"succeeded"'* ]] || { echo "$line" >&2 && exit 1; }
    [ -z "${seen[$id]-}" ] || { echo "$id came twice" >&2 && exit 1; }
    seen[$id]=1
    n=$((n + 1))
    echo "$id is done, $n of $count"
done < <(curl -sSN -H 'Accept: application/x-ndjson' "$daemon/v1/batches/$batch/events")

echo "$n of $count"
[ "$n" -eq "$count" ] && [ -n "$ended" ]
