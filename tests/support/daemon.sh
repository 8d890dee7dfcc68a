# shellcheck shell=bash disable=SC2034,SC2154 # its variables are for who sources it, build is theirs
# Sourced by the scripts that show or measure: a scratch directory, the daemon and the helper servers
# in it, all ended and removed when the script ends. Nothing here waits by guessing: servers say where
# they listen.
#   build=build/release; . tests/support/daemon.sh

scratch=$(mktemp -d "${TMPDIR:-/tmp}/futured-XXXXXX")
server_pids=()
daemon_pid='' daemon_address='' fetch_address=''
trap 'end_all; rm -rf "$scratch"' EXIT
trap 'exit 130' INT TERM

end_all() {
    [ ${#server_pids[@]} -eq 0 ] || kill "${server_pids[@]}" 2>/dev/null || true
    wait 2>/dev/null || true
    server_pids=()
}

# start_server NAME COMMAND…: runs it, its output in $scratch/NAME.log; reads from it the first line
# with address=…, into the variable `address`. Sets server_pid.
start_server() {
    local name=$1 line fifo=$scratch/$1.fifo
    shift
    rm -f "$fifo"
    mkfifo "$fifo"
    "$@" >"$fifo" 2>&1 &
    server_pid=$!
    server_pids+=("$server_pid")
    exec {server_fd}<"$fifo"
    address=
    while IFS= read -r -t 30 -u "$server_fd" line; do
        echo "$line" >>"$scratch/$name.log"
        case $line in
        *address=*) address=${line#*address=} && address=${address%% *} && break ;;
        esac
    done
    if [ -z "$address" ]; then
        echo "$name did not start:" >&2
        cat "$scratch/$name.log" >&2
        exit 1
    fi
    cat <&"$server_fd" >>"$scratch/$name.log" &
    exec {server_fd}<&-
}

# start_daemon [NAME=VALUE…]: on a fresh database unless FUTURED_DB is among them.
start_daemon() {
    rm -f "$scratch"/futured.db*
    start_server futured env FUTURED_LISTEN=127.0.0.1:0 FUTURED_HTTP_NETWORKS=127.0.0.0/8,::1 FUTURED_DB="$scratch/futured.db" \
        "$@" "$build/futured"
    daemon_pid=$server_pid daemon_address=$address
}

# Ends the daemon and waits for it.
stop_daemon() {
    kill "$daemon_pid" 2>/dev/null || true
    wait "$daemon_pid" 2>/dev/null || true
    daemon_pid=
}

start_fetch_server() {
    start_server fetch_server "$build/tests/tools/fetch_server"
    fetch_address=$address
}

# field JSON KEY: a number or word of a flat object on one line.
field() {
    sed -nE "s/.*\"$2\": ?\"?([^,\"}]*).*/\1/p" <<<"$1"
}

# make_texts DIR N: real texts (the licences and copyright files that every Debian system has), over
# and over until there are N.
make_texts() {
    local dir=$1 n=$2 i=0 file name
    mkdir -p "$dir"
    while [ "$i" -lt "$n" ]; do
        local before=$i
        while IFS= read -r file; do
            [ "$i" -lt "$n" ] || break
            i=$((i + 1))
            name=${file##*/}
            [ "$name" != copyright ] || name=$(basename "$(dirname "$file")")
            head -c 200000 "$file" >"$dir/$(printf '%02d-%.16s.txt' "$i" "$name")"
        done < <(find /usr/share/common-licenses -type f -size +4k && find /usr/share/doc \
            -maxdepth 2 -type f -name copyright -size +8k | sort)
        [ "$i" -gt "$before" ] || { echo "no texts found in /usr/share" >&2 && exit 1; }
    done
}
