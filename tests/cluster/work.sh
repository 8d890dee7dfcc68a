#!/bin/sh
# What the handler of the cluster's chaos does. Standard input: {"ms": N}. Each run leaves a line in the journal when it
# begins and one when it ends, and says by whom it was: the result is "ATTEMPT NODE". A lock tells of two side by side.
read -r input
ms=${input#*\"ms\": } ms=${ms%%[!0-9]*}
run="$FUTURED_TASK_ID $FUTURED_ATTEMPT $CLUSTER_NODE"
exec 9>>"$CLUSTER_DIR/locks/$FUTURED_TASK_ID"
flock -n 9 || is_beside=beside
read -r up _ </proc/uptime
echo "begin $run $up $is_beside" >>"$CLUSTER_DIR/journal"
[ "${ms:-0}" -gt 0 ] && sleep "$(printf '%d.%03d' $((ms / 1000)) $((ms % 1000)))" 9>&-
read -r up _ </proc/uptime
echo "end $run $up" >>"$CLUSTER_DIR/journal"
printf '%s %s' "$FUTURED_ATTEMPT" "$CLUSTER_NODE"
