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

futured_run
