# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh
# futured_worker: write a worker handler of futured in POSIX shell. Source it, define functions, serve:
#
#     . ./futured_worker.sh
#     handler_count() { wc -w; }       # input on stdin, result on stdout, log on stderr
#     futured_run
#
# A handler is a function handler_NAME (each character of the name that is no letter, digit or _ is a _).
# A program with handler_any serves every other name by it. It runs in a subshell and may use:
#
#     futured_progress 0.5 "half"      how far it is, and one line about it
#     futured_log "a line"             the same as a line on stderr
#     futured_type text/plain          the type of the result (application/octet-stream)
#     futured_fail KIND MESSAGE [0|1]  ends the task with an error; 0: never again, 1: may be tried again
#     futured_fail KIND MESSAGE RETRY FILE [TYPE]   with what is in the file as error.data (up to 900,000 bytes;
#                                      RETRY may be '')
#     futured_save [TYPE] <file        stores a checkpoint (up to 1 MiB); on disk when it returns 0, else the
#                                      reason is in $FUTURED_REFUSED and the one before still counts; not
#                                      in a pipe whose other end reads or sets what is here
#     $FUTURED_CHECKPOINT_FILE         what an earlier run of the task saved last; '' when there is nothing
#     futured_should_yield             0: the daemon asks the task to save and to suspend itself (known
#                                      after a futured_save)
#     futured_suspend [SECONDS [ID…]]  ends this run, uncharged: the task goes on in so many whole seconds;
#                                      with ids of futures when all these have ended, and then at the
#                                      latest (0: without such a limit)
#     $FUTURED_RESULTS_FILE            what became of those, as JSON: {ID: {"state", "done", "result" or
#                                      "error"}}; '' when the run before named none
#     futured_submit HANDLER [TYPE [QUERY]] <input   submits a task whose parent this one is, and prints its id
#                                      (application/json; QUERY: members of POST /v1/tasks, `retries=2&queue=x`)
#     futured_wait ID…                 returns when all these have ended; its slot runs others meanwhile
#     futured_result ID                waits for it and prints its result; else not 0, and the reason on stderr
#     futured_map HANDLER <inputs      a task for each line, which is JSON; prints their results in order, a line
#                                      each; not 0 when one failed. These four need curl (7.76)
#     $FUTURED_INPUT_FILE $FUTURED_TYPE $FUTURED_TASK_ID $FUTURED_HANDLER $FUTURED_ATTEMPT
#     $FUTURED_TIMEOUT_MS $FUTURED_TRACE
#     $FUTURED_URL $FUTURED_TOKEN                        where it may submit tasks, for `future` or curl
#
# With a function futured_session the program takes the `init` of sessions (POST /v1/sessions): it is called before
# the first task of one, not in a subshell, with its id, and finds the init in $FUTURED_INIT_FILE; tasks have the
# id in $FUTURED_SESSION. When it returns another status than 0 the session is broken, and its tasks fail.
#
# Exit status 75 fails the task with retry=1, any other but 0 without. Limits: one task at a time; a
# cancel is not heard (the daemon kills the worker instead); input and result go through files in
# ${TMPDIR:-/tmp}, so that any bytes are safe; a task costs a few processes (5 ms and more). Needs
# mktemp, head -c, wc and cat.
#
# workers/wire/PROTOCOL.md of futured has the protocol that this speaks.

futured_progress() {
    printf '%s' "${2-}" | tr '\n' ' ' | head -c 500 >"$futured_dir/line"
    futured_share=''
    case ${1-} in
    '' | *[!0-9.]* | *.*.* | .) ;; # no number: not known
    0* | .* | 1 | 1.) futured_share=" fraction=$1" ;;
    *) futured_share=' fraction=1' ;;
    esac
    printf 'PROGRESS %s %s%s\n' "$futured_id" "$(($(wc -c <"$futured_dir/line")))" "$futured_share" >&"$futured_fd"
    cat "$futured_dir/line" >&"$futured_fd"
}

futured_log() {
    printf '%s\n' "$1" >&2
}

futured_type() {
    printf '%s' "$1" >"$futured_dir/type"
}

futured_fail() {
    futured_kind=$(printf '%s' "${1-}" | LC_ALL=C tr -c 'A-Za-z0-9_.-' _ | head -c 64)
    case ${3-} in
    0 | 1) futured_retry=" retry=$3" ;;
    *) futured_retry='' ;;
    esac
    printf ' kind=%s%s' "${futured_kind:-Error}" "$futured_retry" >"$futured_dir/fail"
    printf '%s\n' "${2-}" | head -c 32768 >"$futured_dir/why"
    if [ -n "${4-}" ] && [ "$(($(wc -c <"$4")))" -le 900000 ] && futured_is_type "${5-application/octet-stream}"; then
        printf ' text=%s type=%s' "$(($(wc -c <"$futured_dir/why")))" "${5-application/octet-stream}" >>"$futured_dir/fail"
        cat "$4" >>"$futured_dir/why"
    fi
    exit 1
}

futured_is_type() {
    [ -n "$1" ] && [ "${#1}" -le 127 ] && [ "$(printf '%s' "$1" | wc -l)" -eq 0 ] &&
        ! printf '%s' "$1" | LC_ALL=C grep -q '[^ -~]'
}

# futured_send "VERB ID" FILE KEYS
futured_send() {
    printf '%s %s%s\n' "$1" "$(($(wc -c <"$2")))" "$3" >&"$futured_fd"
    cat "$2" >&"$futured_fd"
}

# One answer to a checkpoint. What comes here is for the task that runs.
futured_save() {
    cat >"$futured_dir/saved"
    futured_send "CHECKPOINT $futured_id" "$futured_dir/saved" " type=${1:-application/octet-stream}"
    while IFS=' ' read -r futured_verb futured_number futured_size futured_rest <&3; do
        case $futured_verb in
        SAVED) return 0 ;;
        YIELD) [ "$futured_number" != "$futured_id" ] || : >"$futured_dir/yield" ;;
        REFUSED)
            # shellcheck disable=SC2034 # for the handler
            FUTURED_REFUSED=$(head -c "$futured_size" <&3)
            return 1
            ;;
        *) futured_give_up "unexpected $futured_verb" ;;
        esac
    done
    exit 0
}

futured_should_yield() {
    [ -e "$futured_dir/yield" ]
}

futured_suspend() {
    case ${1:-0} in
    *[!0-9]*) futured_fail BadSuspend "a task is suspended for whole seconds, not $1" 0 ;;
    esac
    [ "${1:-0}" -le 31536000 ] || futured_fail BadSuspend "a task is suspended for 31536000 seconds at most" 0
    printf ' for_ms=%s' "$((${1:-0} * 1000))" >"$futured_dir/suspend"
    [ $# -eq 0 ] || shift
    : >"$futured_dir/until"
    [ $# -eq 0 ] || printf '%s\n' "$@" >"$futured_dir/until"
    exit 0
}

# futured_ask METHOD PATH [OPTIONS of curl]: the answer is in $futured_answer; not 0 when it is no success.
futured_ask() {
    futured_method=$1 futured_path=$2 futured_base=${FUTURED_URL-}
    shift 2
    case $futured_base in
    '') futured_fail Refused 'this daemon gives its tasks no address (FUTURED_URL)' ;;
    unix:*)
        set -- --unix-socket "${futured_base#unix:}" "$@"
        futured_base=http://localhost
        ;;
    esac
    futured_answer=$(mktemp "$futured_dir/answer.XXXXXX") || return
    # Not as an argument: lists of processes show these.
    printf 'Authorization: Bearer %s\n' "$FUTURED_TOKEN" >"$futured_dir/token"
    curl -sS --fail-with-body -X "$futured_method" -H "@$futured_dir/token" -o "$futured_answer" "$@" \
        "$futured_base$futured_path" 3>&- 2>"$futured_answer.error" || return
    rm -f "$futured_answer.error"
}

# What was answered, or why nothing was, goes to stderr.
futured_refused() {
    cat "$futured_answer" "$futured_answer.error" >&2
    echo >&2
    rm -f "$futured_answer" "$futured_answer.error"
    return 1
}

futured_submit() {
    futured_ask POST "/v1/tasks/$1${3:+?$3}" -H "Content-Type: ${2:-application/json}" --data-binary @- ||
        futured_refused || return
    sed -n 's/^{"id":"\([^"]*\)".*/\1/p' "$futured_answer"
    rm -f "$futured_answer"
}

futured_wait() {
    for futured_future in "$@"; do
        futured_done=''
        until [ -n "$futured_done" ]; do
            futured_ask GET "/v1/futures/$futured_future?wait=10" || futured_refused || return
            futured_done=$(grep -o '"done":true' "$futured_answer" | head -n 1)
            rm -f "$futured_answer"
        done
    done
}

futured_result() {
    futured_wait "$1" || return
    futured_ask GET "/v1/futures/$1/result" || futured_refused || return
    cat "$futured_answer"
    rm -f "$futured_answer"
}

futured_map() {
    { printf '{"handler":"%s","inputs":[' "$1" && sed '$!s/$/,/' && printf ']}'; } >"$futured_dir/batch"
    futured_ask POST /v1/batches -H 'Content-Type: application/json' --data-binary "@$futured_dir/batch" ||
        futured_refused || return
    futured_ids=$(sed -n 's/.*"ids":\[\([^]]*\)\].*/\1/p' "$futured_answer" | tr -d '"' | tr ',' ' ')
    rm -f "$futured_answer"
    for futured_each in $futured_ids; do
        futured_result "$futured_each" || return
        echo
    done
}

futured_give_up() {
    printf 'futured_worker: %s\n' "$1" >&2
    exit 1
}

# Sets FUTURED_… from the keys of a RUN line.
futured_keys() {
    FUTURED_TYPE=application/octet-stream FUTURED_TASK_ID='' FUTURED_HANDLER='' FUTURED_ATTEMPT=1
    FUTURED_TIMEOUT_MS=0 FUTURED_TRACE='' FUTURED_URL='' FUTURED_TOKEN='' FUTURED_SESSION=''
    case " $1" in
    *' type='*)
        FUTURED_TYPE=" $1"
        FUTURED_TYPE=${FUTURED_TYPE#* type=}
        set -- " $1"
        set -- "${1%% type=*}"
        ;;
    esac
    for futured_word in $1; do
        case $futured_word in
        task=*) FUTURED_TASK_ID=${futured_word#*=} ;;
        handler=*) FUTURED_HANDLER=${futured_word#*=} ;;
        attempt=*) FUTURED_ATTEMPT=${futured_word#*=} ;;
        timeout_ms=*) FUTURED_TIMEOUT_MS=${futured_word#*=} ;;
        trace=*) FUTURED_TRACE=${futured_word#*=} ;;
        url=*) FUTURED_URL=${futured_word#*=} ;;
        token=*) FUTURED_TOKEN=${futured_word#*=} ;;
        session=*) FUTURED_SESSION=${futured_word#*=} ;;
        esac
    done
    export FUTURED_TYPE FUTURED_TASK_ID FUTURED_HANDLER FUTURED_ATTEMPT FUTURED_TIMEOUT_MS FUTURED_TRACE
    export FUTURED_SESSION FUTURED_URL FUTURED_TOKEN # of the daemon and of this attempt: the command `future` reads them
}

# The function for the task's handler.
futured_find() {
    futured_name=handler_$(printf '%s' "$FUTURED_HANDLER" | tr -c 'A-Za-z0-9_' _)
    command -v "$futured_name" >/dev/null || futured_name=handler_any
    command -v "$futured_name" >/dev/null ||
        futured_fail UnknownHandler "this worker has no handler $FUTURED_HANDLER" 0
}

futured_task() {
    rm -f "$futured_dir/type" "$futured_dir/fail" "$futured_dir/why" "$futured_dir/yield" "$futured_dir/suspend"
    (
        exec >"$futured_dir/output" <"$FUTURED_INPUT_FILE"
        futured_find
        "$futured_name"
    )
    futured_status=$?
    if [ -e "$futured_dir/suspend" ]; then
        futured_send "SUSPEND $futured_id" "$futured_dir/until" "$(cat "$futured_dir/suspend")"
        return
    fi
    futured_type=application/octet-stream
    [ -s "$futured_dir/type" ] && futured_type=$(cat "$futured_dir/type")
    # Also futured_fail in a subshell of the handler, whose status it may not have looked at.
    if [ "$futured_status" -eq 0 ] && [ ! -e "$futured_dir/fail" ]; then
        if ! futured_is_type "$futured_type"; then
            printf ' kind=BadType' >"$futured_dir/fail"
            printf 'a content type has 1 to 127 printable ASCII characters\n' >"$futured_dir/why"
        elif [ "$(($(wc -c <"$futured_dir/output")))" -gt 1073741824 ]; then
            printf ' kind=TooLarge' >"$futured_dir/fail"
            printf 'the result is larger than 1073741824 bytes\n' >"$futured_dir/why"
        else
            futured_send "DONE $futured_id" "$futured_dir/output" " type=$futured_type"
            return
        fi
    fi
    futured_retry=''
    [ "$futured_status" -eq 75 ] && futured_retry=' retry=1'
    if [ ! -e "$futured_dir/fail" ]; then
        printf ' kind=Exit%s' "$futured_retry" >"$futured_dir/fail"
        printf 'exit status %s\n' "$futured_status" >"$futured_dir/why"
    fi
    futured_send "FAIL $futured_id" "$futured_dir/why" "$(cat "$futured_dir/fail")"
}

futured_prepare() {
    futured_keys "$futured_rest"
    # shellcheck disable=SC2034 # for futured_session, which the program defines
    FUTURED_INIT_FILE=$futured_into
    futured_session "$FUTURED_SESSION" >&2
    futured_status=$?
    rm -f "$futured_into"
    if [ "$futured_status" -eq 0 ]; then
        printf 'DONE %s 0\n' "$futured_id" >&3
        return
    fi
    printf 'exit status %s\n' "$futured_status" >"$futured_dir/why"
    futured_send "FAIL $futured_id" "$futured_dir/why" ' kind=Exit'
}

# Serves until the daemon ends the stream; does not return.
futured_run() {
    futured_fd=${FUTURED_WORKER_FD-}
    [ "$futured_fd" = 3 ] || futured_give_up 'this is a worker program: name it in the handlers file of futured'
    futured_dir=$(mktemp -d) || futured_give_up 'no temporary directory'
    trap 'rm -rf "$futured_dir"' EXIT
    trap 'exit 143' TERM
    FUTURED_INPUT_FILE=$futured_dir/input
    export FUTURED_INPUT_FILE
    unset FUTURED_WORKER_FD
    set -f # the words of a header are words, not patterns
    futured_more=''
    command -v futured_session >/dev/null && futured_more=' sessions=1'
    printf 'HELLO 1 0 checkpoint=1 yield=1 results=1 submits=1%s\n' "$futured_more" >&3
    FUTURED_CHECKPOINT_FILE='' FUTURED_RESULTS_FILE=''
    export FUTURED_CHECKPOINT_FILE FUTURED_RESULTS_FILE
    # read takes one byte after the other, so it leaves the payload where it is.
    while IFS=' ' read -r futured_verb futured_id futured_size futured_rest <&3; do
        case $futured_verb in
        RUN) futured_into=$FUTURED_INPUT_FILE ;;
        CHECKPOINT) futured_into=$futured_dir/checkpoint ;;
        RESULTS) futured_into=$futured_dir/results ;;
        INIT) futured_into=$futured_dir/init ;;
        YIELD) continue ;; # late: that task has ended
        *) futured_give_up "unexpected $futured_verb" ;;
        esac
        case $futured_id$futured_size in
        '' | *[!0-9]*) futured_give_up 'a line that is no header' ;;
        esac
        head -c "$futured_size" <&3 >"$futured_into"
        [ "$(($(wc -c <"$futured_into")))" -eq "$futured_size" ] ||
            futured_give_up 'the stream ended inside a payload'
        case $futured_verb in
        CHECKPOINT) FUTURED_CHECKPOINT_FILE=$futured_into ;;
        RESULTS) FUTURED_RESULTS_FILE=$futured_into ;;
        INIT) futured_prepare ;;
        *)
            futured_keys "$futured_rest"
            futured_task
            FUTURED_CHECKPOINT_FILE='' FUTURED_RESULTS_FILE=''
            ;;
        esac
    done
    exit 0
}
