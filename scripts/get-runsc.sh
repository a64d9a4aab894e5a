#!/bin/sh
# Fetches gVisor's runsc for developers and tests, into build/peers. Installs nothing on the machine.
#
#   sh scripts/get-runsc.sh          the package of Debian's release "trixie", unpacked to build/peers/runsc/runsc
#   sh scripts/get-runsc.sh --head   the current state, compiled by Go, to build/peers/runsc-head/runsc (minutes, 1 GB)
#
# The package comes from wherever this machine gets its Debian packages: its own apt sources with another release, in a
# configuration of their own, signatures checked as ever. What is there already is kept; remove it to fetch it again.

set -eu
cd "$(dirname -- "$0")/.."
peers=$PWD/build/peers

say() { echo "get-runsc: $*" >&2; }
die() {
	say "$@"
	exit 1
}

# The first stanza or line of the machine's sources for Debian itself, with the release replaced.
next_release() {
	for file in /etc/apt/sources.list.d/*.sources; do
		[ -f "$file" ] || continue
		awk -v RS= '/debian-archive-keyring|\/debian\/?(\n|$)/ && !/-security/ { print; exit }' "$file" |
			sed 's/^Suites:.*/Suites: trixie/; s/^Components:.*/Components: main/; /^#/d' >"$1/next.sources"
		[ ! -s "$1/next.sources" ] || return 0
	done
	for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
		[ -f "$file" ] || continue
		sed -nE '/^deb .*-security/d; s#^(deb (\[[^]]*\] )?[^ ]+/debian/?) .*#\1 trixie main#p' "$file" | head -n 1 >"$1/next.list"
		[ ! -s "$1/next.list" ] || return 0
	done
	return 1
}

from_package() {
	if [ -x "$peers/runsc/runsc" ]; then return; fi
	command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || die "this is no Debian: name a runsc with VMJAIL_RUNSC"
	work=$(mktemp -d)
	trap 'rm -rf "$work"' EXIT
	mkdir -p "$work/sources" "$work/state/lists/partial" "$work/cache/archives/partial" "$work/unpacked"
	next_release "$work/sources" || die "found no Debian line in this machine's apt sources"
	# apt may hand the download to a user of its own.
	chmod -R go+rX "$work"
	apt() {
		apt-get -qq -o Dir::State="$work/state" -o Dir::State::status=/var/lib/dpkg/status -o Dir::Cache="$work/cache" \
			-o Dir::Etc::sourcelist=/dev/null -o Dir::Etc::sourceparts="$work/sources" -o APT::Sandbox::User=root "$@" >&2
	}
	say "fetching the package runsc of trixie"
	apt update || die "could not read the package lists of trixie"
	(cd "$work" && apt download runsc) || die "could not download runsc"
	dpkg-deb -x "$work"/runsc_*.deb "$work/unpacked"
	mkdir -p "$peers/runsc"
	mv "$work/unpacked/usr/bin/runsc" "$peers/runsc/runsc.new"
	mv "$peers/runsc/runsc.new" "$peers/runsc/runsc"
}

from_source() {
	if [ -x "$peers/runsc-head/runsc" ]; then return; fi
	command -v go >/dev/null || die "--head needs Go"
	say "compiling the current runsc: this takes minutes"
	(cd / && GOBIN="$peers/runsc-head" CGO_ENABLED=0 nice go install gvisor.dev/gvisor/runsc@latest)
}

case "${1-}" in
'') from_package && "$peers/runsc/runsc" --version ;;
--head) from_source && "$peers/runsc-head/runsc" --version ;;
*)
	echo "usage: get-runsc.sh [--head]" >&2
	exit 2
	;;
esac
