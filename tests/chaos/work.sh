#!/bin/sh
# What the exec handler of the chaos run does. Standard input: {"token": "…", "mode": "…", "ms": N}. Each run leaves a line in
# $CHAOS_RUNS/ID; a lock tells of two runs of one task side by side. "after": the tokens of tasks that must have ended, and
# "limit": how many with this word may run at once; what is not so is a line in $CHAOS_RUNS/too-early and too-many.
read -r input
token=${input#*\"token\": \"} token=${token%%\"*}
mode=${input#*\"mode\": \"} mode=${mode%%\"*}
ms=${input#*\"ms\": } ms=${ms%%[!0-9]*}
run=$CHAOS_RUNS/$FUTURED_TASK_ID
exec 9>>"$run.lock"
flock -n 9 || echo "$FUTURED_TASK_ID attempt $FUTURED_ATTEMPT" >>"$CHAOS_RUNS/side-by-side"
echo "$token $FUTURED_ATTEMPT $$" >>"$run"
word() { # NAME: its string in the input, "" none
    case $input in
    *\"$1\":\ \"*)
        rest=${input#*\""$1"\": \"}
        echo "${rest%%\"*}"
        ;;
    esac
}
for parent in $(word after); do
    [ -e "$CHAOS_RUNS/$parent.ended" ] || echo "$FUTURED_TASK_ID ($token) began before $parent had ended" >>"$CHAOS_RUNS/too-early"
done
limit=$(word limit)
if [ -n "$limit" ]; then
    n=0
    while [ "$n" -lt "$limit" ]; do
        exec 8>>"$CHAOS_RUNS/slot-$n.lock"
        flock -n 8 && break
        n=$((n + 1))
    done
    [ "$n" -lt "$limit" ] || echo "$FUTURED_TASK_ID attempt $FUTURED_ATTEMPT ran beside $limit others" >>"$CHAOS_RUNS/too-many"
fi
[ "${ms:-0}" -gt 0 ] && sleep "$(printf '%d.%03d' $((ms / 1000)) $((ms % 1000)))" 9>&- 8>&-
case $mode in
temporary) [ "$(wc -l <"$run")" -gt 2 ] || exit 75 ;;
fail)
    : >"$CHAOS_RUNS/$token.ended"
    exit 3
    ;;
crash) kill -SEGV $$ ;;
esac
: >"$CHAOS_RUNS/$token.ended"
printf '%s' "$token"
