#!/bin/sh
# Tests vmjail on another host: Debian's own kernel with AppArmor and cgroup v2 alone, as an ordinary user with and
# without a delegated control group, and as root. The host is a virtual machine under QEMU without KVM.
#
#   sh test/vm/run.sh             the suite; the last line is "N passed, N failed"
#   sh test/vm/run.sh --shard I/N the I-th of N parts of the suite, as vitest deals its files out
#   sh test/vm/run.sh --shell     a root shell in the machine, for a person
#   sh test/vm/run.sh --exec FILE runs a shell script as root in the machine, with the functions of guest.sh
#
# Downloads once, into build/vm: see kernel.sh. The console goes to build/vm/console.log as well.
# VMJAIL_VM_MINUTES: how long the machine may run (50).

set -eu
here=$(cd "$(dirname -- "$0")" && pwd)
checkout=$(dirname "$(dirname "$here")")
vm=$checkout/build/vm
say() { echo "vm: $*" >&2; }
die() {
	say "$@"
	exit 1
}
. "$here/kernel.sh"

mode=${1-suite}
mkdir -p "$vm"
command -v setpriv >/dev/null || die "setpriv is missing: apt-get install util-linux"
exec 9>"$vm/.lock"
flock -n 9 || die "another run is under way in this checkout"
need_qemu
need_tree
release=$(ls "$vm/tree/lib/modules")
make_initramfs
sh "$checkout/scripts/setup.sh" --for-tests 9>&-

# What the machine reads and writes; everything else of this host is read-only to it.
share=$vm/share
machine=
end() {
	[ -z "$machine" ] || kill "$machine" 2>/dev/null || :
	rm -rf "$share"
}
trap end EXIT
trap 'exit 130' INT TERM HUP
rm -rf "$share"
mkdir -m 700 "$share"
cp -r "$here" "$share/vm"
echo "$checkout" >"$share/checkout"
echo "$(dirname "$(command -v node)"):/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" >"$share/path"
echo "${VMJAIL_TEST_PATIENCE:-15}" >"$share/patience"
tar -C "$checkout" --exclude=./node_modules --exclude=./build/vm --exclude=./build/peers --exclude=./.git -cf "$share/checkout.tar" .
console=stdio,id=console,logfile=$vm/console.log
case $mode in
suite) ;;
--shard)
	printf '%s\n' "$2" | grep -Eq '^[1-9][0-9]*/[1-9][0-9]*$' || die "--shard takes I/N, as 1/2, not '$2'"
	echo "$2" >"$share/shard"
	mode=suite
	;;
--shell)
	: >"$share/shell"
	console=$console,signal=off # Ctrl-C is for the shell there
	;;
--exec) cp "$2" "$share/exec" ;;
*) die "usage: run.sh [--shard I/N | --shell | --exec FILE]" ;;
esac

say "booting Debian's $release"
started=$(date +%s)
# In the background, so that a signal ends this script at once, and with pdeathsig, so that even SIGKILL leaves nothing.
setpriv --pdeathsig KILL timeout --foreground --kill-after=5 "${VMJAIL_VM_MINUTES:-50}m" setpriv --pdeathsig KILL \
	qemu-system-x86_64 -nodefaults -no-user-config -display none -no-reboot \
	-accel tcg,thread=multi -cpu max -smp 2 -m 3G \
	-kernel "$vm/tree/boot/vmlinuz-$release" -initrd "$vm/initramfs.gz" \
	-append "console=ttyS0 quiet panic=-1 random.trust_cpu=on" \
	-chardev "$console" -serial chardev:console \
	-blockdev null-co,node-name=disk,size=67108864,read-zeroes=on -device virtio-blk-pci,drive=disk \
	-fsdev local,id=hostroot,path=/,security_model=none,readonly=on,multidevs=remap \
	-device virtio-9p-pci,fsdev=hostroot,mount_tag=hostroot \
	-fsdev local,id=share,path="$share",security_model=none \
	-device virtio-9p-pci,fsdev=share,mount_tag=share <&0 &
machine=$!
wait "$machine" && status=0 || status=$?
machine=
say "the machine ran for $(($(date +%s) - started)) seconds (QEMU: $status)"
[ "$mode" = suite ] || exit "$status"
node "$here/count.mjs" "$share"
