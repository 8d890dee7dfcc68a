#!/bin/sh
# What the exec handler of the chaos run does. Standard input: {"token": "…", "mode": "…", "ms": N}. Each run leaves a line in
# $CHAOS_RUNS/ID; a lock tells of two runs of one task side by side.
read -r input
token=${input#*\"token\": \"} token=${token%%\"*}
mode=${input#*\"mode\": \"} mode=${mode%%\"*}
ms=${input#*\"ms\": } ms=${ms%%[!0-9]*}
run=$CHAOS_RUNS/$FUTURED_TASK_ID
exec 9>>"$run.lock"
flock -n 9 || echo "$FUTURED_TASK_ID attempt $FUTURED_ATTEMPT" >>"$CHAOS_RUNS/side-by-side"
echo "$token $FUTURED_ATTEMPT $$" >>"$run"
[ "${ms:-0}" -gt 0 ] && sleep "$(printf '%d.%03d' $((ms / 1000)) $((ms % 1000)))" 9>&-
case $mode in
temporary) [ "$(wc -l <"$run")" -gt 2 ] || exit 75 ;;
fail) exit 3 ;;
crash) kill -SEGV $$ ;;
esac
printf '%s' "$token"
