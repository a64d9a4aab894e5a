/*
 * Asks libseccomp for the filter of a profile. One profile on standard input, one line per statement:
 *
 *     init <architecture> <default action>
 *     rule <action> <system call> [<argument> <operator> <a> <b>]...
 *
 * Actions are the kernel's 32-bit return values, operators libseccomp's numbers, all numbers in C notation.
 * A call that libseccomp does not know is left out, as OCI runtimes do: "unknown <system call>" on standard error. The
 * filter (struct sock_filter[]) goes to standard output. Exit status 1: libseccomp refused a statement; standard error
 * says which and why.
 */
#include <errno.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char SPACE[] = " \n";

static _Noreturn void fail(const char *what, const char *of, int error)
{
	fprintf(stderr, "%s %s: %s\n", what, of, strerror(error < 0 ? -error : error));
	exit(1);
}

static unsigned long long number(void)
{
	const char *word = strtok(NULL, SPACE);
	if (word == NULL)
		fail("number", "missing", EINVAL);
	return strtoull(word, NULL, 0);
}

static scmp_filter_ctx init(void)
{
	const char *name = strtok(NULL, SPACE);
	uint32_t arch = name == NULL ? 0 : seccomp_arch_resolve_name(name);
	scmp_filter_ctx filter = seccomp_init((uint32_t)number());
	if (arch == 0 || filter == NULL)
		fail("init", name == NULL ? "?" : name, EINVAL);
	if (arch != seccomp_arch_native()) {
		int error = seccomp_arch_add(filter, arch);
		if (error == 0)
			error = seccomp_arch_remove(filter, SCMP_ARCH_NATIVE);
		if (error != 0)
			fail("architecture", name, error);
	}
	int error = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
	if (error != 0)
		fail("attribute", "badarch", error);
	return filter;
}

static void rule(scmp_filter_ctx filter)
{
	uint32_t action = (uint32_t)number();
	const char *name = strtok(NULL, SPACE);
	struct scmp_arg_cmp args[6];
	unsigned count = 0;
	const char *word;
	while ((word = strtok(NULL, SPACE)) != NULL && count < 6) {
		args[count].arg = (unsigned)strtoul(word, NULL, 0);
		args[count].op = (enum scmp_compare)number();
		args[count].datum_a = number();
		args[count].datum_b = number();
		count++;
	}
	int call = seccomp_syscall_resolve_name(name);
	if (call == __NR_SCMP_ERROR) {
		fprintf(stderr, "unknown %s\n", name);
		return;
	}
	int error = seccomp_rule_add_array(filter, action, call, count, args);
	if (error != 0)
		fail("rule", name, error);
}

int main(void)
{
	char line[512];
	scmp_filter_ctx filter = NULL;
	/* Every action, whatever the kernel that this runs on. */
	if (seccomp_api_set(6) != 0)
		fail("API level", "6", EOPNOTSUPP);
	while (fgets(line, sizeof line, stdin) != NULL) {
		const char *word = strtok(line, SPACE);
		if (word == NULL)
			continue;
		if (strcmp(word, "init") == 0)
			filter = init();
		else if (strcmp(word, "rule") == 0 && filter != NULL)
			rule(filter);
		else
			fail("statement", word, EINVAL);
	}
	if (filter == NULL)
		fail("init", "missing", EINVAL);
	int error = seccomp_export_bpf(filter, 1);
	if (error != 0)
		fail("export", "filter", error);
	return 0;
}
