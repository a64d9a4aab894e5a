# Sourced in the virtual machine, as root: control groups as systemd makes them.

groups=/sys/fs/cgroup
controllers=$(sed 's/[^ ]*/+&/g' "$groups/cgroup.controllers")

# Processes are in leaves, and every controller goes down to them.
make_slices() {
	mkdir "$groups/init.scope" "$groups/user.slice"
	echo 1 >"$groups/init.scope/cgroup.procs"
	echo "$controllers" >"$groups/cgroup.subtree_control"
	echo "$controllers" >"$groups/user.slice/cgroup.subtree_control"
}

# The group that the folder $1 is now belongs to the user: systemd's Delegate=yes.
delegate() {
	chown tester: "$1"
	while read -r file; do [ ! -e "$1/$file" ] || chown tester: "$1/$file"; done </sys/kernel/cgroup/delegate
}

# in_scope KIND USER COMMAND…: runs it in a control group of its own, with the environment of a login. KIND:
#   plain      the group belongs to root, as that of any login
#   delegated  systemd-run --user --scope -p Delegate=yes COMMAND
#   supervised the same for a program that has already moved to a leaf of its group, and starts vmjail from there
# Fails, with 99, where control groups were left behind. The command must not leave processes behind either.
in_scope() {
	kind=$1 user=$2
	shift 2
	scope=$(mktemp -d "$groups/user.slice/run-XXXXXX.scope")
	chmod 755 "$scope"
	leaf=$scope
	if [ "$kind" != plain ]; then delegate "$scope"; fi
	if [ "$kind" = supervised ]; then
		leaf=$scope/vmjail-supervisor
		mkdir "$leaf"
		delegate "$leaf"
		echo "$controllers" >"$scope/cgroup.subtree_control"
	fi
	sh -c 'echo 0 >"$0/cgroup.procs" && exec "$@"' "$leaf" \
		setpriv --reuid "$user" --regid "$user" --init-groups --reset-env \
		env "PATH=$(cat /run/vm/path)" LANG=C.UTF-8 VMJAIL_TEST_PATIENCE="$(cat /run/vm/patience)" "$@"
	scope_status=$?
	if [ -d "$scope/vmjail-supervisor" ]; then rmdir "$scope/vmjail-supervisor"; fi
	if ! rmdir "$scope"; then
		find "$scope" -type d
		grep -H . "$scope/cgroup.procs" "$scope"/*/cgroup.procs
		scope_status=99
	fi
	return "$scope_status"
}
