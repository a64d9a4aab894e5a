/** Programs on a terminal: what a person at the keyboard expects of a shell in a jail, and of a jail in a shell. */

import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, afterEach, beforeEach, describe, it } from "vitest";
import { requireOr } from "../helpers/requirement.ts";
import { CALLERS, missingCaller, missingPrograms, Place, VMJAIL } from "./caller.ts";
import { Terminal } from "./tmux.ts";

for (const caller of CALLERS) {
	const missing = missingCaller(caller) ?? missingPrograms("tmux", "bash");
	describe.skipIf(requireOr(missing))(`a terminal as ${caller.name}`, () => {
		const place = new Place(caller);
		afterAll(() => place.remove());
		let terminal: Terminal;
		beforeEach(async () => {
			terminal = new Terminal(place);
			await terminal.sees(/^outer>$/m);
		});
		afterEach(() => terminal.close());

		/** Starts a shell in a jail and waits for its prompt. */
		const enter = async () => {
			terminal.type(`${VMJAIL} -q --env PS1='inner> ' -- bash --norc --noprofile`);
			await terminal.sees(/^inner>$/m);
		};

		it("bash: prompt, line editing, exit status", async () => {
			await enter();
			terminal.type("tty; echo $((6*7))");
			await terminal.sees(/^\/dev\/pts\/0\n42\ninner>$/m);
			terminal.type("exit 5");
			await terminal.sees(/^exit\nouter>$/m);
			terminal.type("echo status $?");
			await terminal.sees(/^status 5$/m);
		});

		it("job control: Ctrl-Z, jobs, fg, Ctrl-C", async () => {
			await enter();
			// What is typed while bash still has the terminal in its own mode would reach cat without a newline.
			terminal.type("echo go; cat");
			await terminal.sees(/^go$/m);
			terminal.type("one");
			await terminal.sees(/^one\none$/m);
			terminal.press("C-z");
			await terminal.sees(/Stopped +.*cat\ninner>$/m);
			await terminal.clear();
			terminal.type("jobs");
			await terminal.sees(/^\[1\]\+ +Stopped +cat\ninner>$/m);
			terminal.type("fg");
			await terminal.sees(/^cat$/m);
			terminal.type("two");
			await terminal.sees(/^two\ntwo$/m);
			terminal.press("C-c");
			await terminal.sees(/\^C\ninner>$/m);
			terminal.type("echo status $?");
			await terminal.sees(/^status 130$/m);
		});

		it("background jobs, and no warning about job control", async () => {
			await enter();
			terminal.type("sleep 100 & kill %1; wait; jobs; echo none left");
			await terminal.sees(/^none left$/m);
		});

		it("window size, at the start and when it changes", async () => {
			await enter();
			terminal.type("stty size");
			await terminal.sees(/^24 80$/m);
			terminal.resize(97, 31);
			await terminal.sees(/^inner>$/m);
			terminal.type("until [ \"$(stty size)\" = '31 97' ]; do sleep 0.05; done; echo resized");
			await terminal.sees(/^resized$/m);
		});

		it.skipIf(requireOr(missingPrograms("vim")))("vim opens a file and quits", async () => {
			place.write("poem", "roses are red\n");
			await enter();
			terminal.type("vim -u NONE -i NONE -n -R poem");
			await terminal.sees(/^roses are red\n~\n~/m);
			terminal.type(":q!");
			await terminal.sees(/^inner>$/m);
		});

		it.skipIf(requireOr(missingPrograms("less")))("less opens a file and quits", async () => {
			place.write("long", Array.from({ length: 200 }, (_, i) => `line ${i}\n`).join(""));
			await enter();
			terminal.type("less long");
			await terminal.sees(/^line 0\nline 1\n/m);
			terminal.press("Space");
			await terminal.sees(/^line 40$/m);
			terminal.press("q");
			await terminal.sees(/^inner>$/m);
		});

		it("vmjail itself stops at Ctrl-Z and goes on by fg", async () => {
			terminal.type(`${VMJAIL} -q -- cat`);
			terminal.type("one");
			await terminal.sees(/^one\none$/m);
			terminal.press("C-z");
			await terminal.sees(/Stopped .*vmjail.*\nouter>$/m);
			await terminal.clear();
			terminal.type("fg");
			await terminal.sees(/> fg\n.*vmjail.*cat$/m);
			terminal.type("two");
			await terminal.sees(/^two\ntwo$/m);
			terminal.press("C-d");
			await terminal.sees(/^outer>$/m);
			terminal.type("echo status $?");
			await terminal.sees(/^status 0$/m);
		});

		it("Ctrl-C ends a program, and the terminal is as it was", async () => {
			terminal.type(`${VMJAIL} -q -- sh -c 'echo up; exec sleep 100'`);
			await terminal.sees(/^up$/m);
			terminal.press("C-c");
			await terminal.sees(/^(\^C)?outer>$|\^C\nouter>$/m);
			terminal.type("echo status $?; stty -a | grep -ow -e -icanon -e icanon -e echo");
			await terminal.sees(/^status 130$/m);
			await terminal.sees(/^icanon\necho$/m);
		});

		it("a pager that starts later keeps the terminal as it has set it, when vmjail ends", async () => {
			// vmjail has started when less does, and ends after it.
			terminal.type(`${VMJAIL} -q -- sh -c 'sleep 2; seq 500; sleep 1' | (sleep 1; less)`);
			await terminal.sees(/^1\n2\n3\n/m);
			await sleep(2_000);
			terminal.press("q");
			await terminal.sees(/^outer>$/m);
		});

		it("a pipe to a pager leaves the keyboard to the pager", async () => {
			terminal.type(`${VMJAIL} -q -- seq 500 | less`);
			await terminal.sees(/^1\n2\n3\n/m);
			terminal.press("q");
			await terminal.sees(/^outer>$/m);
		});
	});
}
