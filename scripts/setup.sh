#!/bin/sh
# Makes this checkout ready: npm packages, a C compiler, the build. Quick where nothing is missing.
#
#   sh scripts/setup.sh               what running vmjail needs
#   sh scripts/setup.sh --for-tests   and the Debian packages that the tests use
#
# As root on Debian and Ubuntu it installs what is missing; else it prints the command that does.

set -eu
cd "$(dirname -- "$0")/.."

for_tests=
case "${1-}" in
'') ;;
--for-tests) for_tests=1 ;;
*)
	echo "usage: setup.sh [--for-tests]" >&2
	exit 2
	;;
esac

say() { echo "vmjail: $*" >&2; }
die() {
	say "$@"
	exit 1
}

# Package names out of the arguments that dpkg does not have.
absent() {
	dpkg-query -W -f '${db:Status-Abbrev}${Package}\n' "$@" 2>/dev/null | sed -n 's/^ii //p' >"$scratch"
	for package in "$@"; do grep -qx -- "$package" "$scratch" || printf '%s ' "$package"; done
}

# Package lists may be missing (fresh containers) or old: the second try fetches them.
apt_install() {
	say "installing $*"
	export DEBIAN_FRONTEND=noninteractive
	if ls /var/lib/apt/lists/*_Packages* >/dev/null 2>&1; then
		apt-get -qq -y --no-install-recommends install "$@" </dev/null >&2 && return
	fi
	apt-get -qq update >&2 && apt-get -qq -y --no-install-recommends install "$@" </dev/null >&2
}

check_node() {
	command -v node >/dev/null || die "node is not in PATH: install Node.js 20.19 or later"
	command -v npm >/dev/null || die "npm is not in PATH: it comes with Node.js; on Debian: apt-get install npm"
	node -e 'const [a, b] = process.versions.node.split("."); process.exit(a > 20 || (a == 20 && b >= 19) ? 0 : 1)' ||
		die "Node $(node --version) ($(command -v node)) is too old: vmjail needs 20.19 or later"
}

check_compiler() {
	if command -v cc >/dev/null && command -v make >/dev/null && echo '#include <stdlib.h>' | cc -E - >/dev/null 2>&1; then
		return
	fi
	if command -v apt-get >/dev/null; then
		if [ "$(id -u)" = 0 ]; then
			apt_install gcc make libc6-dev || die "could not install a C compiler: apt-get install gcc make libc6-dev"
			return
		fi
		die "the build needs a C compiler and make: sudo apt-get install gcc make libc6-dev"
	fi
	die "the build needs a C compiler, make and the C library's headers (static library included): install them"
}

# Wants the packages named in scripts/test-packages.txt. Tests that lack a tool say so themselves, so this never fails.
test_packages() {
	command -v dpkg-query >/dev/null || return 0
	scratch=$(mktemp)
	missing=$(absent $(grep -v '^#' scripts/test-packages.txt))
	rm -f "$scratch"
	[ -n "$missing" ] || return 0
	if [ "$(id -u)" != 0 ]; then
		say "some tests will be skipped; for all of them: sudo apt-get install ${missing% }"
	elif ! apt_install $missing; then
		say "could not install ${missing% }: the tests that need them will be skipped"
	fi
}

# Everything that the tests need besides what vmjail itself does.
test_needs() {
	test_packages
	sh scripts/get-runsc.sh || say "without runsc, the tests of gVisor will be skipped"
}

stale() {
	! [ -f dist/cli.cjs ] || ! [ -x build/vmjail-launch ] || ! [ -x build/vmjail-executor ] || ! [ -x build/vmjail-confine ] ||
		! [ -f build/addon.node ] || ! [ -f build/stamp ] ||
		[ -n "$(find src native scripts package.json package-lock.json -newer build/stamp -print -quit)" ]
}

packages_current() {
	[ -f node_modules/.package-lock.json ] && ! [ package-lock.json -nt node_modules/.package-lock.json ]
}

if ! [ -d src ]; then # installed as an npm package: only the C parts are left to build
	check_node
	check_compiler
	exec node scripts/build.mjs --native
fi
if packages_current && ! stale; then
	[ -z "$for_tests" ] || test_needs
	exit 0
fi

check_node
if ! { mkdir -p build && touch build/.lock; } 2>/dev/null || ! [ -w . ]; then
	die "the sources are newer than the build and $(pwd) is not writable for $(id -un): have its owner run $(pwd)/scripts/setup.sh"
fi
if command -v flock >/dev/null; then
	exec 9>>build/.lock
	flock -n 9 || { say "waiting for another build" && flock 9; }
	export VMJAIL_BUILD_LOCKED=1
fi

if ! packages_current; then
	[ ! -L node_modules ] || die "node_modules is a link to $(readlink node_modules), which npm ci would empty: replace it by a folder"
	say "installing npm packages (npm ci)"
	# No package of ours needs an install script to run.
	npm ci --ignore-scripts --no-audit --no-fund --loglevel=error 9>&- >&2 || die "npm ci failed: see above"
	# An unchanged lock file may be newer than what npm ci has just written: without this, that would repeat for ever.
	touch node_modules/.package-lock.json
fi
if stale; then
	check_compiler
	say "building"
	node scripts/build.mjs 9>&- || die "the build failed: see above"
fi
[ -z "$for_tests" ] || test_needs
