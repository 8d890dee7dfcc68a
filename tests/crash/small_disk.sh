#!/bin/bash
# A daemon on a file system of 3 MiB (tmpfs in a mount namespace of its own) that fills up under it,
# while tasks run, and grows again: nothing pretended. Counts what was accepted against what ended.
#   tests/crash/small_disk.sh BUILD      needs the right to mount: root, or user namespaces
set -uo pipefail
build=$(cd "${1:?usage: tests/crash/small_disk.sh BUILD}" && pwd)
if [ -z "${FUT_SMALL_DISK-}" ]; then
    for how in -m -rm; do
        unshare "$how" true 2>/dev/null && exec env FUT_SMALL_DISK=1 unshare "$how" "$0" "$build"
    done
    echo "      NOTE: no right to mount, so no small disk was tried"
    echo "0 passed, 0 failed"
    exit 0
fi
cd "$(dirname "$0")/../.." || exit 2
. tests/support/daemon.sh

disk=$scratch/disk passed=0 failed=0
ask() { curl -s "http://$daemon_address$1" "${@:2}"; }
status() { ask "$1" -o "$scratch/out" -w '%{http_code}' "${@:2}"; }
check() { # TEXT CONDITION…
    if "${@:2}"; then
        passed=$((passed + 1)) && echo "ok    $1"
    else
        failed=$((failed + 1)) && echo "FAIL  $1: $(head -c 300 "$scratch/out")"
    fi
}
submit() { status /v1/tasks -H 'Content-Type: application/json' -d "@$1"; }
# count_succeeded SECONDS: of the tasks in $scratch/ids, waiting so long for each.
count_succeeded() {
    while read -r id; do ask "/v1/futures/$id?wait=$1"; done <"$scratch/ids" |
        grep -o '"state":"succeeded"' | wc -l
}

mkdir "$disk"
mount -t tmpfs -o size=3m tmpfs "$disk" || exit 1
trap 'end_all; umount "$disk"; rm -rf "$scratch"' EXIT
start_daemon FUTURED_DB="$disk/futured.db" FUTURED_RESERVE=512K MAX_THREADS=4
echo '{"handler":"sleep","input":{"ms":1500}}' >"$scratch/sleep"
printf '{"handler":"echo","input":"%s"}' "$(head -c 50000 /dev/zero | tr '\0' x)" >"$scratch/big"

for _ in 1 2 3; do
    submit "$scratch/sleep" >"$scratch/code"
    field "$(head -c 60 "$scratch/out")" id >>"$scratch/ids"
done
while code=$(submit "$scratch/big") && [ "$code" = 202 ]; do
    field "$(head -c 60 "$scratch/out")" id >>"$scratch/ids"
done
accepted=$(wc -l <"$scratch/ids")
check "after $accepted tasks a submit answers 507" [ "$code" = 507 ]
check "/readyz is red" [ "$(status /readyz)" = 503 ]
succeeded=$(count_succeeded 3)
check "$succeeded of $accepted ended well while the disk was full" [ "$succeeded" -ge 3 ]
mount -o remount,size=30m "$disk"
status /readyz --retry 60 --retry-delay 1 >"$scratch/code" # curl asks again while it is a 503
check "it heals by itself when there is space" [ "$(status /readyz)" = 200 ]
check "and takes work again" [ "$(submit "$scratch/big")" = 202 ]
succeeded=$(count_succeeded 30)
check "all $accepted that were accepted ended well" [ "$succeeded" = "$accepted" ]
kill -9 "$daemon_pid"
wait "$daemon_pid" 2>/dev/null
FUTURED_DB=$disk/futured.db "$build/futured" check >"$scratch/out"
check "the file is whole" [ $? = 0 ]
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
