#!/usr/bin/env bash
# boot-machine.sh WORK [COMMAND…]: a machine in the machine, for tests of boot wiring (see machine.py).
#
# Its disk is an overlay over this machine's root: what it writes lands in WORK/disk and lasts from boot to boot.
# Without COMMAND it boots systemd in namespaces of its own (mount, pid, network, hostname, ipc, cgroup), writes the id
# of its first process to WORK/pid, and ends as that process does: 129 for a reboot, 130 for a power-off. With COMMAND
# it only runs that on the disk, with this machine's network. Needs root, overlayfs, cgroup v2, util-linux, iproute2.
set -euo pipefail

work=$1
shift
if [ "${MACHINE_STAGE:-}" != mounted ]; then
    export MACHINE_STAGE=mounted
    exec unshare --mount --propagation private -- bash "$0" "$work" "$@"
fi

root=$work/root
mkdir -p "$work"/{disk,overlay,root,cgroup}
mount -t overlay machine -o "lowerdir=/,upperdir=$work/disk,workdir=$work/overlay" "$root"
for place in dev run tmp; do mount -t tmpfs -o mode=755 machine "$root/$place"; done
chmod 1777 "$root/tmp"
for device in null zero full random urandom tty; do
    touch "$root/dev/$device"
    mount --bind "/dev/$device" "$root/dev/$device"
done
mkdir "$root/dev/pts" "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666 machine "$root/dev/pts"
mount -t tmpfs -o mode=1777 machine "$root/dev/shm"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
touch "$work/console" "$root/dev/console"
mount --bind "$work/console" "$root/dev/console"

if [ $# -gt 0 ]; then
    mount -t proc proc "$root/proc"
    exec chroot "$root" "$@"
fi

# A cgroup of its own, so that its systemd has a root to manage.
mount -t cgroup2 cgroup "$work/cgroup"
group=$work/cgroup/director-machine.$$
mkdir "$group"
echo $$ >"$group/cgroup.procs"
trap : HUP INT
status=0
# shellcheck disable=SC2016
setpriv --pdeathsig KILL unshare --cgroup --pid --fork --kill-child --net --uts --ipc --mount -- bash -euc '
    cd "$1"
    mount -t proc proc proc
    mount --bind proc/sys proc/sys
    mount -o remount,bind,ro proc/sys
    mount -t sysfs -o ro sysfs sys
    mount -t cgroup2 cgroup sys/fs/cgroup
    # Each boot has an id of its own.
    cat /proc/sys/kernel/random/uuid >run/boot_id
    mount --bind run/boot_id proc/sys/kernel/random/boot_id
    ip link set lo up
    hostname machine
    mkdir -p mnt
    pivot_root . mnt
    umount -l /mnt
    exec env -i container=machine PATH=/usr/sbin:/usr/bin:/sbin:/bin \
        /lib/systemd/systemd --unit=multi-user.target
' machine "$root" </dev/null >>"$work/console" 2>&1 &
outer=$!
for _ in $(seq 200); do
    first=$(cut -d" " -f1 "/proc/$outer/task/$outer/children" 2>/dev/null || true)
    if [ -n "$first" ] && [ "$(cat "/proc/$first/comm" 2>/dev/null)" = systemd ]; then
        echo "$first" >"$work/pid.new"
        mv "$work/pid.new" "$work/pid"
        break
    fi
    sleep 0.05
done
wait "$outer" || status=$?
echo $$ >"$work/cgroup/cgroup.procs"
find "$group" -depth -type d -exec rmdir {} \; 2>/dev/null || true
exit "$status"
