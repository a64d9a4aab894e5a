/** /proc/self/mountinfo: see proc_pid_mountinfo(5). */

export interface MountEntry {
	/** The folder of the file system that is mounted; of a cgroup: as seen from the reader's cgroup namespace. */
	readonly root: string;
	readonly mountPoint: string;
	/** Of this mount: "rw", "noexec". */
	readonly options: readonly string[];
	readonly type: string;
	readonly source: string;
	/** Of the file system: "rw", "memory". */
	readonly superOptions: readonly string[];
	/** Field 1 and field 2: a mount above another one on the same mount point hides it. */
	readonly id: number;
	readonly parent: number;
}

/** The kernel writes blank, tab, newline and backslash as a backslash and three octal digits. */
function unescaped(field: string): string {
	if (!field.includes("\\")) return field;
	return field.replace(/\\([0-7]{3})/g, (_all, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
}

function entryOf(line: string): MountEntry | undefined {
	const fields = line.split(" ");
	const dash = fields.indexOf("-", 6);
	if (dash === -1) return undefined;
	const [id = "", parent = "", , root = "", mountPoint = "", options = ""] = fields;
	const [type = "", source = "", superOptions = ""] = fields.slice(dash + 1);
	return {
		id: Number(id),
		parent: Number(parent),
		root: unescaped(root),
		mountPoint: unescaped(mountPoint),
		options: options.split(","),
		type,
		source: unescaped(source),
		superOptions: superOptions.split(","),
	};
}

/** The mounts, in the order in which they were made. Lines of another form are left out. */
export function parseMountinfo(content: string): readonly MountEntry[] {
	return content.split("\n").flatMap((line) => entryOf(line) ?? []);
}
