#!/usr/bin/env node
/**
 * Grades a submission by way of `vmjail serve`: compiles it once, keeps the program, runs it on each test, deletes it.
 *
 *   vmjail serve &
 *   node examples/grade.mjs [http://127.0.0.1:5050]
 */

const server = process.argv[2] ?? "http://127.0.0.1:5050";

const submission = `#include <stdio.h>
int main(void) {
	long n, sum = 0;
	if (scanf("%ld", &n) != 1) return 1;
	for (long i = 1; i <= n; i++) sum += i;
	printf("%ld\\n", sum);
	return 0;
}
`;

const tests = [
	{ input: "10\n", output: "55\n" },
	{ input: "100000\n", output: "5000050000\n" },
	{ input: "3\n", output: "7\n" }, // what the author of the test got wrong
];

const second = 1_000_000_000;
const mebibyte = 1024 * 1024;

async function run(command) {
	const answer = await fetch(`${server}/run`, { method: "POST", body: JSON.stringify({ cmd: [command] }) });
	if (!answer.ok) throw new Error(`${answer.status}: ${await answer.text()}`);
	const [result] = await answer.json();
	return result;
}

const collect = [
	{ name: "stdout", max: mebibyte },
	{ name: "stderr", max: mebibyte },
];

const compiled = await run({
	args: ["gcc", "-O2", "-o", "program", "main.c"],
	files: [null, ...collect],
	copyIn: { "main.c": { content: submission } },
	copyOutCached: ["program"],
});
if (compiled.status !== "Accepted") throw new Error(`${compiled.status}: ${compiled.files?.stderr ?? compiled.error}`);
const fileId = compiled.fileIds.program;

for (const [number, { input, output }] of tests.entries()) {
	const result = await run({
		args: ["./program"],
		files: [{ content: input }, ...collect],
		cpuLimit: second,
		memoryLimit: 64 * mebibyte,
		copyIn: { program: { fileId } },
	});
	const verdict =
		result.status !== "Accepted" ? result.status : result.files.stdout === output ? "right" : "wrong answer";
	process.stdout.write(`test ${number + 1}: ${verdict}\n`);
}

await fetch(`${server}/file/${fileId}`, { method: "DELETE" });
