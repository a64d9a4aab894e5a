/** Numbers of the errors that plans name (asm-generic/errno-base.h, errno.h; the same on x86_64 and aarch64). */

const NUMBERS: Readonly<Record<string, number>> = {
	EPERM: 1,
	ENOENT: 2,
	ESRCH: 3,
	EINTR: 4,
	EIO: 5,
	ENXIO: 6,
	E2BIG: 7,
	ENOEXEC: 8,
	EBADF: 9,
	ECHILD: 10,
	EAGAIN: 11,
	ENOMEM: 12,
	EACCES: 13,
	EBUSY: 16,
	EEXIST: 17,
	ENODEV: 19,
	ENOTDIR: 20,
	EISDIR: 21,
	EINVAL: 22,
	ENOTTY: 25,
	ENOSPC: 28,
	EROFS: 30,
	ENAMETOOLONG: 36,
	ENOSYS: 38,
	ENOTEMPTY: 39,
	ELOOP: 40,
	EOPNOTSUPP: 95,
};

/** @throws RangeError for a name that plans do not use: a mistake in a plan. */
export function errnoNumber(name: string): number {
	const number = NUMBERS[name];
	if (number === undefined) throw new RangeError(`no number for ${name}`);
	return number;
}
