/** Absolute path arithmetic. All paths are clean: absolute, no "." or "..", no doubled or trailing slash. */

/** Is this an absolute path in its shortest spelling, with no NUL? */
export function isClean(path: string): boolean {
	if (path === "/") return true;
	if (!path.startsWith("/") || path.includes("\0")) return false;
	return path
		.slice(1)
		.split("/")
		.every((name) => name !== "" && name !== "." && name !== "..");
}

/** Is `path` strictly below `ancestor`? */
export function isBelow(path: string, ancestor: string): boolean {
	return path !== ancestor && path.startsWith(ancestor === "/" ? "/" : `${ancestor}/`);
}

/** Is `path` the same as `ancestor`, or below it? */
export function isWithin(path: string, ancestor: string): boolean {
	return path === ancestor || isBelow(path, ancestor);
}

/** Where `path` of the jail lies on the host when the jail's root is the host's `root`. */
export function below(root: string, path: string): string {
	if (root === "/") return path;
	return path === "/" ? root : root + path;
}

/** Orders paths so that a parent comes before everything below it. */
export function parentsFirst(a: string, b: string): number {
	const left = a.split("/");
	const right = b.split("/");
	for (let i = 0; i < Math.min(left.length, right.length); i++) {
		const x = left[i] ?? "";
		const y = right[i] ?? "";
		if (x !== y) return x < y ? -1 : 1;
	}
	return left.length - right.length;
}
