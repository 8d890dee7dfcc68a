#!/bin/bash
# Boots a real systemd in namespaces of its own and runs scenarios.sh there with the package of
# `make deb`. The last line is "N passed, N failed".
set -uo pipefail
cd "$(dirname "$0")" || exit 2
packages=../../build/deb
namespaces=(--pid --mount --uts --ipc --net --cgroup)

skip() {
    echo "NOTE: the package was not tested on a real systemd: $*"
    echo "0 passed, 0 failed"
    exit 0
}

compgen -G "$packages/futured_*.deb" >/dev/null || { echo "make deb first" >&2 && exit 2; }
[ "$(id -u)" -eq 0 ] || skip "this is not root"
[ -x /lib/systemd/systemd ] || skip "systemd is not installed"
unshare "${namespaces[@]}" --fork true 2>/dev/null || skip "namespaces are refused here"
grep -q overlay /proc/filesystems || modprobe overlay 2>/dev/null || skip "there is no overlayfs"
top=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/mounts)
group=$top/futured-test-$$
{ [ -n "$top" ] && mkdir "$group" 2>/dev/null; } || skip "no cgroup (version 2) can be made here"

init='' outer='' # PID 1 of the namespaces, as seen from here
scratch=$(mktemp -d)

gone() {
    rmdir "$group"/{*/*/*/,*/*/,*/,} 2>/dev/null
    [ ! -d "$group" ]
}

finish() {
    [ -n "$init" ] && kill -9 "$init" 2>/dev/null
    [ -n "$outer" ] && wait "$outer" 2>/dev/null
    [ -e "$group/cgroup.kill" ] && echo 1 >"$group/cgroup.kill"
    for _ in $(seq 100); do
        gone && break
        find "$group" -depth -type d -exec rmdir {} + 2>/dev/null
        read -rt 0.1 <> <(:)
    done
    rmdir "$scratch"
}
trap finish EXIT

# In a subshell, which joins the cgroup first so that the namespace begins there.
(
    echo "$BASHPID" >"$group/cgroup.procs" || exit 1
    exec unshare "${namespaces[@]}" --fork ./boot.sh "$scratch" "$packages"
) >/dev/null 2>&1 &
outer=$!

# Waits until the first child of unshare has become systemd and says that it is up.
inside() { timeout 90 nsenter --target "$init" --mount --pid --uts --ipc --net --cgroup -- "$@"; }
for _ in $(seq 300); do
    init=$(cat "/proc/$outer/task/$outer/children" 2>/dev/null)
    init=${init%% *}
    [ -n "$init" ] && [ "$(cat "/proc/$init/comm" 2>/dev/null)" = systemd ] && break
    kill -0 "$outer" 2>/dev/null || skip "systemd could not be started in namespaces"
    read -rt 0.1 <> <(:)
done
for _ in $(seq 300); do
    inside test -S /run/systemd/private && break
    read -rt 0.1 <> <(:)
done
state=$(inside timeout 60 systemctl is-system-running --wait)
case $state in
running | degraded) ;;
*) skip "systemd did not come up in its namespaces ($state)" ;;
esac
timeout --kill-after=10 300 nsenter --target "$init" --mount --pid --uts --ipc --net --cgroup -- \
    env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 \
    bash /var/lib/futured-test/scenarios.sh /var/lib/futured-test
