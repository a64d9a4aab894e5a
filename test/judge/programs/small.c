/* The smallest program there is: ends with status 7. No C library, a kilobyte or two. */
__attribute__((noreturn)) void _start(void)
{
#if defined(__x86_64__)
	__asm__ volatile("mov $60, %eax; mov $7, %edi; syscall");
#elif defined(__aarch64__)
	__asm__ volatile("mov x8, #93; mov x0, #7; svc #0");
#endif
	__builtin_unreachable();
}
