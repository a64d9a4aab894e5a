/**
 * The filters of the named profiles, by "<profile> <architecture>", as the 32-bit words of `struct sock_filter[]`. None
 * here: scripts/filters.mjs compiles them when vmjail is built, and puts them into the place of this file.
 */
export const READY: Readonly<Record<string, () => readonly number[]>> = {};
