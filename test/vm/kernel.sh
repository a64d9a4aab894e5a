# Sourced by run.sh: Debian's kernel, busybox and apparmor_parser in "$vm/tree", and the initramfs. Nothing is installed
# on this machine but QEMU, and that only as root.

# The newest kernel of this Debian release, by its real name: linux-image-amd64 only depends on it.
kernel_package() {
	apt-cache depends --important linux-image-amd64 | sed -n 's/^ *Depends: \(linux-image-[0-9].*\)$/\1/p' | head -n 1
}

need_qemu() {
	command -v qemu-system-x86_64 >/dev/null && return
	[ "$(id -u)" = 0 ] || die "QEMU is missing: sudo apt-get install qemu-system-x86"
	say "installing qemu-system-x86"
	apt-get -qq -y --no-install-recommends install qemu-system-x86 </dev/null >&2 ||
		{ apt-get -qq update >&2 && apt-get -qq -y --no-install-recommends install qemu-system-x86 </dev/null >&2; } ||
		die "could not install QEMU: apt-get install qemu-system-x86"
}

# Downloads and unpacks; renamed into place at the end, so that an interrupted download is repeated.
need_tree() {
	[ -d "$vm/tree" ] && return
	command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null ||
		die "this test wants Debian's kernel, and there is no apt-get here: run it on Debian or Ubuntu"
	kernel=$(kernel_package)
	[ -n "$kernel" ] || die "apt does not know linux-image-amd64: run apt-get update, with Debian's archive in sources.list"
	say "downloading $kernel, busybox-static, apparmor"
	rm -rf "$vm/debs" "$vm/tree.new"
	mkdir -p "$vm/debs" "$vm/tree.new"
	(cd "$vm/debs" && apt-get -qq download "$kernel" busybox-static apparmor) ||
		die "the download failed: run apt-get update and try again"
	for package in "$vm"/debs/*.deb; do dpkg-deb -x "$package" "$vm/tree.new"; done
	"$vm/tree.new/bin/busybox" depmod -b "$vm/tree.new" "$(ls "$vm/tree.new/lib/modules")"
	rm -rf "$vm/debs"
	mv "$vm/tree.new" "$vm/tree"
}

# The modules named by the arguments and those that they need, as paths in /lib/modules/RELEASE.
modules_for() {
	for module in "$@"; do
		sed -n "s|^\(.*/$module\.ko\): *\(.*\)|\1 \2|p" "$vm/tree/lib/modules/$release/modules.dep"
	done | tr ' ' '\n' | sort -u | sed '/^$/d'
}

# busybox, what mounts the real root, and ./initramfs-init.sh.
make_initramfs() {
	root=$vm/initramfs
	rm -rf "$root"
	mkdir -p "$root/bin" "$root/lib/modules/$release" "$root/proc" "$root/sys" "$root/dev" "$root/lower" \
		"$root/upper" "$root/root"
	cp "$vm/tree/bin/busybox" "$root/bin/busybox"
	cp "$here/initramfs-init.sh" "$root/init"
	chmod 755 "$root/init"
	modules_for virtio_pci 9pnet_virtio 9p overlay | while read -r module; do
		mkdir -p "$root/lib/modules/$release/${module%/*}"
		cp "$vm/tree/lib/modules/$release/$module" "$root/lib/modules/$release/$module"
	done
	"$vm/tree/bin/busybox" depmod -b "$root" "$release"
	(cd "$root" && find . | "$vm/tree/bin/busybox" cpio -o -H newc 2>/dev/null | gzip -1) >"$vm/initramfs.gz"
	rm -rf "$root"
}
