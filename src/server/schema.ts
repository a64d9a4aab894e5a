/** What a client may ask of `POST /run`: go-judge's request, checked key by key. Pure. */

import * as v from "valibot";

/** More commands than this in one request are refused before any is looked at. */
const MOST_COMMANDS = 64;
/** Longest name of a file, an id or a request. */
const MOST_NAME = 4096;

const said = (what: string) => (issue: { readonly received: string }) => `expected ${what}, got ${issue.received}`;

const text = v.pipe(
	v.string(said("a text")),
	v.check((value) => !value.includes("\0"), "a NUL character cannot be passed to a program"),
);
const name = v.pipe(
	text,
	v.minLength(1, "expected a name, got nothing"),
	v.maxLength(MOST_NAME, `longer than ${MOST_NAME}`),
);
const whole = (what: string) =>
	v.pipe(
		v.number(said(what)),
		v.integer(`expected ${what}, got a fraction`),
		v.minValue(0, `expected ${what}, got less than 0`),
		v.maxValue(Number.MAX_SAFE_INTEGER, `expected ${what}, got more than can be counted`),
	);
const bytes = whole("a number of bytes");
const nanoseconds = whole("a number of nanoseconds");
const flag = v.boolean(said("true or false"));

/** JSON has no bytes: what is none of UTF-8's travels as base64 (an extension; see docs/server.md). */
const content = {
	content: v.string(said("a text")),
	encoding: v.optional(v.picklist(["utf-8", "base64"], 'expected "utf-8" or "base64"')),
};
/** Without a pattern that repeats: for megabytes the engine would run out of stack. */
function isBase64({
	content: value,
	encoding,
}: {
	content: string;
	encoding?: "base64" | "utf-8" | undefined;
}): boolean {
	if (encoding !== "base64") return true;
	const padding = value.indexOf("=");
	const isPadded = padding === -1 || /^==?$/.test(value.slice(Math.max(padding, value.length - 3)));
	return value.length % 4 === 0 && isPadded && !/[^A-Za-z0-9+/=]/.test(value);
}

const memoryFile = v.pipe(
	v.strictObject(content),
	v.forward(v.check(isBase64, "expected base64 (RFC 4648, section 4, with padding)"), ["content"]),
);
const localFile = v.strictObject({ src: name });
const storedFile = v.strictObject({ fileId: name });
const symlink = v.strictObject({ symlink: name });
const collector = v.strictObject({ name, max: bytes, pipe: v.optional(flag) });
const streamIn = v.strictObject({ streamIn: flag });
const streamOut = v.strictObject({ streamOut: flag });

type Kinds = Readonly<Record<string, v.GenericSchema>>;

/** An object is told by the key that only its kind has, so that an error speaks of the kind that was meant. */
function byKey<Value>(kinds: Kinds, what: string): v.GenericSchema<Value> {
	const refused = v.custom<Value>(() => false, `expected ${what}`);
	return v.lazy((input) => {
		const isObject = typeof input === "object" && input !== null && !Array.isArray(input);
		const key = isObject ? Object.keys(kinds).find((one) => Object.hasOwn(input, one)) : undefined;
		return (key === undefined ? refused : kinds[key]) as v.GenericSchema<Value>;
	});
}

/** Where bytes come from. */
export type ContentEntry =
	| v.InferOutput<typeof localFile>
	| v.InferOutput<typeof memoryFile>
	| v.InferOutput<typeof storedFile>;

/** What a descriptor is connected to. */
export type StreamEntry =
	| ContentEntry
	| v.InferOutput<typeof collector>
	| v.InferOutput<typeof streamIn>
	| v.InferOutput<typeof streamOut>;

const stream = v.nullable(
	byKey<StreamEntry>(
		{ src: localFile, content: memoryFile, fileId: storedFile, name: collector, streamIn, streamOut },
		"null, or an object with src, content, fileId, name, streamIn or streamOut",
	),
);
const copyIn = byKey<ContentEntry | v.InferOutput<typeof symlink>>(
	{ src: localFile, content: memoryFile, fileId: storedFile, symlink },
	"an object with src, content, fileId or symlink",
);
const names = v.array(name, said("a list of names"));

const command = v.strictObject({
	args: v.pipe(
		v.array(text, said("a list of texts")),
		v.minLength(1, "expected a program and its arguments, got none"),
	),
	env: v.optional(v.array(v.pipe(text, v.regex(/^[^=]+=/, "expected NAME=VALUE")), said("a list of NAME=VALUE"))),
	files: v.optional(v.array(stream, said("a list of files, by descriptor"))),
	tty: v.optional(flag),
	cpuLimit: v.optional(nanoseconds),
	clockLimit: v.optional(nanoseconds),
	realCpuLimit: v.optional(nanoseconds),
	memoryLimit: v.optional(bytes),
	stackLimit: v.optional(bytes),
	procLimit: v.optional(whole("a number of processes")),
	cpuRateLimit: v.optional(whole("thousandths of a core")),
	cpuSetLimit: v.optional(text),
	dataSegmentLimit: v.optional(flag),
	strictMemoryLimit: v.optional(flag),
	addressSpaceLimit: v.optional(flag),
	copyIn: v.optional(v.record(name, copyIn)),
	copyOut: v.optional(names),
	copyOutCached: v.optional(names),
	copyOutMax: v.optional(bytes),
	copyOutTruncate: v.optional(flag),
});

const end = v.strictObject({ index: whole("the number of a command"), fd: whole("the number of a descriptor") });

const pipe = v.strictObject({
	in: end,
	out: end,
	proxy: v.optional(flag),
	name: v.optional(v.union([v.literal(""), name])),
	max: v.optional(bytes),
	disableZeroCopy: v.optional(flag),
});

export const requestSchema = v.strictObject({
	requestId: v.optional(v.pipe(text, v.maxLength(MOST_NAME))),
	cmd: v.pipe(
		v.array(command, said("a list of commands")),
		v.minLength(1, "expected at least one command"),
		v.maxLength(MOST_COMMANDS, `at most ${MOST_COMMANDS} commands in a request`),
	),
	pipeMapping: v.optional(v.array(pipe, said("a list of pipes"))),
	/** Of the files in the answer; an extension. */
	encoding: v.optional(v.picklist(["utf-8", "base64"], 'expected "utf-8" or "base64"')),
	/** Narrows the server's policy for this request; an extension of the broker's. */
	policy: v.optional(v.record(v.string(), v.unknown(), said("a policy"))),
	/** The folder that the policy's caller stands in. */
	cwd: v.optional(v.pipe(name, v.regex(/^\//, "expected an absolute path"))),
});

export type RunRequest = v.InferOutput<typeof requestSchema>;
export type CommandRequest = RunRequest["cmd"][number];
export type PipeRequest = NonNullable<RunRequest["pipeMapping"]>[number];
