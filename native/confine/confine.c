/*
 * vmjail-confine REPORT FILTER COUNT FILE... ARGUMENT...: installs a seccomp filter and becomes a program. The first program of
 * gVisor's jail, whose own compiler of filters takes longer than all this.
 *
 * REPORT is the number of an open descriptor: closed when the program runs, else told "filter ERRNO" or "execute ERRNO". FILTER is
 * an array of struct sock_filter in hexadecimal, lower case. The COUNT files are tried in turn, as execvp(3) would; the error of
 * the last one counts. Nothing of it is anybody else's word: vmjail writes all arguments.
 *
 * Without a C library, whose start would take five times as long as the rest. Ends with 127 where nothing was executed.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>

#if defined __x86_64__
__asm__(".globl _start\n"
	"_start:\n"
	"	endbr64\n"
	"	mov %rsp, %rdi\n"
	"	xor %ebp, %ebp\n"
	"	and $-16, %rsp\n"
	"	call confine\n");

static long call(long number, long a, long b, long c)
{
	long result;
	__asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
	return result;
}
#elif defined __aarch64__
__asm__(".globl _start\n"
	"_start:\n"
	"	mov x0, sp\n"
	"	mov x29, #0\n"
	"	mov x30, #0\n"
	"	bl confine\n");

static long call(long number, long a, long b, long c)
{
	register long x8 __asm__("x8") = number;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;
	__asm__ volatile("svc #0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2) : "memory");
	return x0;
}
#else
#error "which registers does a system call take here?"
#endif

enum { MAX_INSTRUCTIONS = 4096, NOT_EXECUTED = 127 };

static struct sock_filter instructions[MAX_INSTRUCTIONS];

__attribute__((noreturn)) static void end(long report, const char *what, long error)
{
	char text[32];
	size_t length = 0;
	while (*what != '\0')
		text[length++] = *what++;
	text[length++] = ' ';
	for (long unit = 1000; unit > 0; unit /= 10)
		text[length++] = (char)('0' + error / unit % 10);
	text[length++] = '\n';
	call(SYS_write, report, (long)text, (long)length);
	for (;;)
		call(SYS_exit_group, NOT_EXECUTED, 0, 0);
}

static long number(const char *digits)
{
	long value = 0;
	for (; *digits >= '0' && *digits <= '9'; digits++)
		value = value * 10 + (*digits - '0');
	return value;
}

static int nibble(char digit)
{
	if (digit >= '0' && digit <= '9')
		return digit - '0';
	return digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

/* 0 where the text is no filter. */
static size_t read_filter(const char *text)
{
	uint8_t *const bytes = (uint8_t *)instructions;
	size_t size = 0;
	for (; *text != '\0'; text += 2) {
		const int high = nibble(text[0]);
		const int low = high < 0 ? -1 : nibble(text[1]);
		if (low < 0 || size == sizeof instructions)
			return 0;
		bytes[size++] = (uint8_t)(high << 4 | low);
	}
	return size % sizeof *instructions == 0 ? size / sizeof *instructions : 0;
}

static bool goes_on(long error)
{
	return error == ENOENT || error == ENOTDIR || error == EACCES;
}

__attribute__((noreturn, used)) void confine(const long *stack)
{
	const long count = stack[0];
	char **const argv = (char **)(stack + 1);
	char **const envp = argv + count + 1;
	const long report = count > 1 ? number(argv[1]) : 2;
	const long files = count > 3 ? number(argv[3]) : 0;
	if (files < 1 || count < 5 + files)
		end(report, "execute", EINVAL);
	if (call(SYS_fcntl, report, F_SETFD, FD_CLOEXEC) != 0)
		end(report, "filter", EBADF);
	const size_t length = read_filter(argv[2]);
	const struct sock_fprog filter = {.len = (unsigned short)length, .filter = instructions};
	const long installed = length == 0 ? -EINVAL : call(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, (long)&filter);
	if (installed != 0)
		end(report, "filter", -installed);
	long error = ENOENT;
	for (long i = 0; i < files && (i == 0 || goes_on(error)); i++)
		error = -call(SYS_execve, (long)argv[4 + i], (long)(argv + 4 + files), (long)envp);
	end(report, "execute", error);
}
