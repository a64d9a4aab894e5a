#!/bin/busybox sh
# First process of the virtual machine. The machine's root is the host's, read-only through 9p, under a tmpfs: nothing
# that is written reaches the host. Then ./guest.sh takes over.

export PATH=/bin
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
for module in virtio_pci 9pnet_virtio 9p overlay; do modprobe "$module"; done

fail() {
	echo "initramfs: $1"
	poweroff -f
}
p9=trans=virtio,version=9p2000.L,msize=524288,access=any
mount -t 9p -o "ro,cache=loose,$p9" hostroot /lower || fail "cannot mount the host's root"
mount -t tmpfs -o mode=755,size=2g tmpfs /upper
mkdir /upper/files /upper/work
mount -t overlay -o lowerdir=/lower,upperdir=/upper/files,workdir=/upper/work overlay /root || fail "cannot mount the root"

for place in /dev /proc /sys; do mount --move "$place" "/root$place"; done
mount -t tmpfs -o mode=755,nosuid,nodev tmpfs /root/run
mkdir /root/run/vm
mount -t 9p -o "cache=none,$p9" share /root/run/vm || fail "cannot mount the shared folder"
exec switch_root /root /bin/sh /run/vm/vm/guest.sh
