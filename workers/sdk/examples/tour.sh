#!/bin/sh
# One handler for each thing that a worker in shell can do. tests/tools/worker_conformance knows them.
# There is none for `wait`: a shell does not hear of a cancel.
# shellcheck disable=SC2317 # futured_run calls the functions by their names
# shellcheck source=workers/sdk/futured_worker.sh
. "$(dirname "$0")/../futured_worker.sh"

handler_echo() {
    futured_type "$FUTURED_TYPE"
    cat
}

handler_report() {
    futured_progress 0.5 "half of $(($(wc -c))) bytes"
    futured_log 'a line for the log'
    printf reported
}

handler_fail() {
    futured_fail NoGood "no good: $(cat)"
}

# Fails with its input as data.
handler_data() {
    futured_fail NoGood 'no good' '' "$FUTURED_INPUT_FILE" "$FUTURED_TYPE"
}

handler_refuse() {
    futured_fail Permanent never 0
}

handler_later() {
    exit 75
}

handler_print() {
    echo 'DONE 1 0 a stray line' >&2
    printf printed
}

# Saves its input, goes on a second later, and ends with what it saved.
handler_resume() {
    if [ -n "$FUTURED_CHECKPOINT_FILE" ]; then
        cat "$FUTURED_CHECKPOINT_FILE"
        return
    fi
    futured_save "$FUTURED_TYPE" || futured_fail NotSaved "$FUTURED_REFUSED"
    futured_suspend 1
}

# Is suspended until the futures end whose ids are the input; ends with what became of them.
handler_join() {
    # shellcheck disable=SC2046 # one word for each id
    [ -n "$FUTURED_RESULTS_FILE" ] || futured_suspend 0 $(cat)
    futured_type application/json
    cat "$FUTURED_RESULTS_FILE"
}

# Submits its input as another task, and ends with the id of that.
handler_child() {
    id=$(futured_submit echo text/plain) && printf %s "$id"
}

# Five steps, each saved, in the directory that is the input. After a step it waits while there is a file
# stop-N.
handler_steps() {
    dir=$(cat)
    step=0
    [ -z "$FUTURED_CHECKPOINT_FILE" ] || step=$(cat "$FUTURED_CHECKPOINT_FILE")
    while [ "$step" -lt 5 ]; do
        step=$((step + 1))
        echo "$step" >>"$dir/steps"
        printf %s "$step" >"$FUTURED_INPUT_FILE"
        futured_save text/plain <"$FUTURED_INPUT_FILE" || futured_fail NotSaved "$FUTURED_REFUSED"
        while [ -e "$dir/stop-$step" ]; do sleep 0.05; done
        if futured_should_yield; then futured_suspend; fi
    done
    printf 'five steps'
}

# What is `bad` breaks the session. The shell keeps what is made of it under the name of the session.
futured_session() {
    [ "$(cat "$FUTURED_INIT_FILE")" != bad ] || return 3
    echo preparing
    cp "$FUTURED_INIT_FILE" "$futured_dir/made.$1"
}

handler_prepared() {
    futured_type text/plain
    cat "$futured_dir/made.$FUTURED_SESSION" 2>/dev/null || printf None
}

# Saves until it is asked to suspend itself.
handler_yield() {
    until futured_should_yield; do
        printf 'so far' | futured_save text/plain || futured_fail NotSaved "$FUTURED_REFUSED"
    done
    futured_suspend
}

futured_run
