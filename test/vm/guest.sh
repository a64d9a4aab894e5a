#!/bin/sh
# Process 1 of the virtual machine once the root is mounted: what a Debian without systemd still owes to its users
# (mounts, loopback, an ordinary user, control groups), then ./suite.sh, then power off.
# /run/vm is the only folder shared with the host for writing.

export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
set -u
# The checkout may lie in a folder that is about to be hidden.
mkdir /run/checkout
mount --bind "$(cat /run/vm/checkout)" /run/checkout
tree=/run/checkout/build/vm/tree

mount -t tmpfs -o mode=1777 tmpfs /tmp # without nosuid and nodev, as Debian 12 has it
mkdir -p /dev/pts /dev/shm /lib/modules
mount -t devpts -o gid=5,mode=620,ptmxmode=666 devpts /dev/pts
mount -t tmpfs -o mode=1777,nosuid,nodev tmpfs /dev/shm
ln -snf /proc/self/fd /dev/fd
for fd in 0:stdin 1:stdout 2:stderr; do ln -snf "/proc/self/fd/${fd%:*}" "/dev/${fd#*:}"; done
mount -t securityfs securityfs /sys/kernel/security
mount -t cgroup2 -o nsdelegate,memory_recursiveprot cgroup2 /sys/fs/cgroup
mount --bind "$tree/lib/modules" /lib/modules
# The kernel loads what is missing (nf_tables, tun) through this program.
mkdir /run/tools
cp "$tree/bin/busybox" /run/tools/busybox
ln -s busybox /run/tools/modprobe
cp "$tree/sbin/apparmor_parser" /run/tools/apparmor_parser
echo /run/tools/modprobe >/proc/sys/kernel/modprobe
PATH=$PATH:/run/tools
modprobe virtio_blk # a disk, so that bytes per second can be limited
hostname vm
ip link set lo up
ulimit -Hn 524288

# As adduser would: a home, and ranges of subordinate ids.
useradd --create-home --shell /bin/bash tester
chmod 755 /home/tester # root's tests start jails as yet another user

. /run/vm/vm/scopes.sh
make_slices

# A checkout of the user's own, except for the npm packages.
home=/home/tester/vmjail
mkdir "$home"
chown tester: "$home"
mount -t tmpfs -o mode=755,uid="$(id -u tester)",gid="$(id -g tester)" tmpfs "$home"
in_scope plain tester tar -xf - -C "$home" </run/vm/checkout.tar
mkdir "$home/node_modules"
mount --bind /run/checkout/node_modules "$home/node_modules"
umount /run/checkout
mkdir -p "$home/node_modules/.vite" "$home/node_modules/.vite-temp"
chown tester: "$home/node_modules/.vite" "$home/node_modules/.vite-temp"
cd "$home"

echo "vm: $(uname -r), $(nproc) processors, $(cat /sys/kernel/security/lsm), cgroup: $(cat "$groups/cgroup.controllers")"
if [ -e /run/vm/exec ]; then
	. /run/vm/exec
elif [ -e /run/vm/shell ]; then
	setsid --ctty --wait bash -i </dev/ttyS0 >/dev/ttyS0 2>&1
else
	. /run/vm/vm/suite.sh
fi
exec /run/tools/busybox poweroff -f
