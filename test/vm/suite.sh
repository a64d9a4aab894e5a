# Sourced by guest.sh in the virtual machine, as root, in the user's checkout: what the machine is there to show, then the
# system tests. Results go to /run/vm: checks.txt ("ok NAME" or "failed NAME") and one JSON report for each
# run of vitest.

# check NAME EXPECTED KIND USER ARGUMENTS…: ./vmjail with these arguments, in a control group of that kind (in_scope).
# EXPECTED is its exit status, a blank, and a regular expression for a line of its output ("": any output).
check() {
	name=$1 expected_status=${2%% *} expected_line=${2#* } kind=$3 user=$4
	shift 4
	status=0
	in_scope "$kind" "$user" ./vmjail "$@" >/tmp/output 2>&1 </dev/null || status=$?
	if [ "$status" = "$expected_status" ] && { [ -z "$expected_line" ] || grep -Eq -- "$expected_line" /tmp/output; }; then
		echo "ok $name" | tee -a /run/vm/checks.txt
	else
		echo "failed $name" | tee -a /run/vm/checks.txt
		echo "  ./vmjail $*: status $status, expected $expected_status and a line like: $expected_line"
		sed 's/^/  | /' /tmp/output
	fi
}

# vitest_as NAME KIND USER ARGUMENTS…: the system projects, or the files of them that the arguments name; of these the shard
# that was asked for.
vitest_as() {
	name=$1 kind=$2 user=$3
	shift 3
	echo "vm: the system tests, $name"
	rm -f /tmp/report.json
	# Through a pipe: on a terminal, vitest would redraw its lines.
	{
		in_scope "$kind" "$user" node node_modules/vitest/vitest.mjs run --project 'system*' --no-color \
			--reporter=verbose --reporter=json --outputFile.json=/tmp/report.json ${shard:+"--shard=$shard"} "$@" </dev/null 2>&1
		echo "$?" >"/run/vm/$name.status"
	} | cat
	[ ! -f /tmp/report.json ] || cp /tmp/report.json "/run/vm/$name.json"
}

: >/run/vm/checks.txt
shard=
[ ! -e /run/vm/shard ] || shard=$(cat /run/vm/shard)
hungry='a=x; while :; do a=$a$a; done'
forks='for i in 1 2 3 4 5 6 7 8 9 10 11 12; do sleep 1 & done; wait'
policy='{ "system": { "memory": { "max": "64MiB" } } }'
echo "$policy" >/tmp/memory.policy
echo '{ "system": { "io": { "readBps": "1MiB", "writeBps": "1MiB" } } }' >/tmp/io.policy

check "a delegated group: a program runs, and every limit is enforced" "0 ^$(id -u tester)\$" delegated tester -- id -u
check "a delegated group: the memory limit ends a program" "137 limit of memory" delegated tester \
	--mem 64MiB -- sh -c "$hungry"
check "a delegated group: the limit of processes ends a program" "137 limit of processes" delegated tester \
	--pids 8 -- sh -c "$forks"
check "a delegated group: the limit of processor time ends a program" "124 " delegated tester \
	--time 1s -- sh -c 'while :; do :; done'
check "a delegated group: cores, processors and swap" "0 " delegated tester \
	--cpu 0.5 --pin 0 --swap 0B -- true
check "a delegated group: the time limit ends a program" "124 " delegated tester --wall 2s -- sleep 1000
check "a supervisor's leaf: the memory limit ends a program" "137 limit of memory" supervised tester \
	--mem 64MiB -- sh -c "$hungry"
check "a login's group: a program runs, and vmjail says what it lacks" "0 not enforced here: memory" plain tester -- true
check "a login's group: a limit that a policy asks for is an error" "125 cannot be enforced here" plain tester \
	-c /tmp/memory.policy -- true
check "root: the memory limit ends a program" "137 limit of memory" plain root --mem 64MiB -- sh -c "$hungry"
check "root: cores, processors, bytes per second" "0 " plain root -c /tmp/io.policy --cpu 0.5 --pin 0 -- true
check "a delegated group: bytes per second" "0 " delegated tester -c /tmp/io.policy -- true
check "vmjail doctor: user namespaces in spite of AppArmor" "0 user namespaces +made one" plain tester doctor
check "vmjail doctor: every control group in a delegated group" "0 cgroup: io +v2" delegated tester doctor

# Left out: what depends on the kernel little and takes long here (filters compared in user space, sanitisers, gVisor, which
# is not there, the judge's cases and the example that compiles within a judge's two seconds, floods, network rules on
# runtimes that are not ours), and 100 kills. As root: what an ordinary user cannot try.
vitest_as user supervised tester --exclude test/plan/seccomp/differential.system.test.ts \
	--exclude test/executor/fuzz.system.test.ts --exclude test/system/kill.system.test.ts --exclude 'test/runtime/**' \
	--exclude 'test/conformance/**' --exclude 'test/judge/**' --exclude test/network/endurance.system.test.ts \
	--exclude test/server/example.system.test.ts
vitest_as root plain root test/system/attacks/files test/system/attacks/kernel test/plan/seccomp/kernel \
	test/network/product test/server/broker -t '^(?!.* on (crun|runc) )'
: >/run/vm/done
