#!/bin/bash
# The second seed example with curl alone: a directory of texts mapped over the worker processes, with
# progress meanwhile and the results in the order of the files.
#   map.sh DAEMON_URL DIRECTORY HANDLER
# Prints "NAME RESULT" for each file, in order; progress on standard error.
set -euo pipefail
daemon=${1:?usage: map.sh DAEMON_URL DIRECTORY HANDLER} dir=${2:?} handler=${3:?}

# A text as one line of NDJSON. Control characters other than tabs and line ends are left out.
task_line() {
    printf '{"handler":"%s","input":"' "$handler"
    tr -d '\000-\010\013-\037' <"$1" | sed 's/\\/\\\\/g; s/"/\\"/g; s/\t/\\t/g' | awk '{ printf "%s\\n", $0 }'
    printf '"}\n'
}

files=("$dir"/*)
made=$(for file in "${files[@]}"; do task_line "$file"; done |
    curl -sS --fail-with-body "$daemon/v1/batches?fail_fast=true" \
        -H 'Content-Type: application/x-ndjson' --data-binary @-)
batch=$(sed -E 's/^\{"id":"([^"]*)".*/\1/' <<<"$made")

# Progress, as often as a text is done.
curl -sSN -H 'Accept: application/x-ndjson' "$daemon/v1/batches/$batch/events" | while IFS= read -r line; do
    [[ $line == *'"event":"done"'* ]] || continue
    curl -sS "$daemon/v1/batches/$batch" | sed -E 's/.*"finished":([0-9]+).*"progress":([0-9.e+-]+).*/\1 done, progress \2/' >&2
done

i=0
while IFS= read -r line; do
    [[ $line == *'"state":"succeeded"'* ]] || { echo "$line" >&2 && exit 1; }
    result=$(sed -E 's/.*"text":"([^"]*)".*/\1/; s/\\n//g' <<<"$line")
    echo "$(basename "${files[$i]}") $result"
    i=$((i + 1))
done < <(curl -sS "$daemon/v1/batches/$batch/results?wait=60")
[ "$i" -eq ${#files[@]} ]
