#!/bin/sh
# shellcheck disable=SC2154,SC1091
# Handlers that fail, answer and report as none should: the input names it.
# shellcheck disable=SC2317 # futured_run calls the functions by their names
# shellcheck source=workers/sdk/futured_worker.sh
# nothing_of_that_name is not set, which is what the mode unset is for.
. "$(dirname "$0")/../../../workers/sdk/futured_worker.sh"

handler_any() {
    case $(cat) in
    umlaut) futured_fail 'Fehler zähler' "ä" ;;
    lines) futured_fail 'Two
lines' x ;;
    'no kind') futured_fail '' '' ;;
    long) futured_fail "$(printf '%0300d' 0)" "$(head -c 100000 /dev/zero | tr '\0' x)" ;;
    retry) futured_fail Odd x maybe ;;
    subshell)
        (futured_fail Inner x)
        true
        ;;
    type) futured_type 'text/plän' ;;
    'type lines') futured_type 'text/plain
DONE 1 0' ;;
    'type long') futured_type "text/$(printf '%0200d' 0)" ;;
    progress) futured_progress 1e-9 x ;;
    words) futured_progress 'a b' x ;;
    beyond) futured_progress 7 x ;;
    exit) exit 3 ;;
    unset) (set -u && echo "${nothing_of_that_name}") ;;
    fine) printf fine ;;
    esac
}

futured_run
