#!/bin/bash
# PID 1 of fresh namespaces: makes a root of its own and becomes systemd.
#   tests/systemd/boot.sh SCRATCH FOLDER    where the packages are
set -euo pipefail
scratch=$1 root=$1/root own=$1/root/var/lib/futured-test

mount --make-rprivate /
mount -t tmpfs tmpfs "$scratch"
mkdir "$scratch/upper" "$scratch/work" "$root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$scratch/upper,workdir=$scratch/work" "$root"
mkdir -p "$own"
cp "$2"/futured_*.deb "$2"/python3-futured_*.deb scenarios.sh "$own/"
rm -f "$root/usr/sbin/policy-rc.d" # images have it, so that nothing starts while they are made
ln -sf /dev/null "$root/etc/systemd/system/timers.target"
ln -sf /dev/null "$root/etc/systemd/system/systemd-binfmt.service"

mount -t proc proc "$root/proc"
mount --bind "$root/proc/sys" "$root/proc/sys"
mount -o remount,bind,ro "$root/proc/sys"
mount -t sysfs -o ro,nosuid,nodev,noexec sysfs "$root/sys"
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
mount -t tmpfs -o mode=755,nosuid,nodev tmpfs "$root/run"
mount -t tmpfs -o mode=1777,nosuid,nodev tmpfs "$root/tmp"
mount -t tmpfs -o mode=755,nosuid tmpfs "$root/dev"
for node in null:3 zero:5 full:7 random:8 urandom:9; do
    mknod -m 666 "$root/dev/${node%:*}" c 1 "${node#*:}"
done
mknod -m 666 "$root/dev/tty" c 5 0
mkdir "$root/dev/pts" "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
ip link set lo up

cd "$root"
mkdir -p run/old
pivot_root . run/old
exec </dev/null
mount --make-rshared / # as on a machine that has booted: credentials are mounted that way
umount -l /run/old
rmdir /run/old
exec env -i container=futured-test PATH=/usr/sbin:/usr/bin:/sbin:/bin \
    /lib/systemd/systemd --unit=basic.target --log-target=journal
