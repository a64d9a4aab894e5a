import { describe, expect, it } from "vitest";
import { Queue } from "../../src/server/queue.ts";

const never = new AbortController().signal;

/** Work that ends when it is told to. */
function task() {
	const at: { end: () => void; started: boolean } = { end: () => {}, started: false };
	const done = new Promise<void>((resolve) => {
		at.end = resolve;
	});
	return {
		at,
		work: () => {
			at.started = true;
			return done;
		},
	};
}

const settle = () => new Promise((resolve) => setImmediate(resolve));

describe("the queue", () => {
	it("runs so many at once, the others in order", async () => {
		const queue = new Queue({ parallelism: 2, length: 10 });
		const tasks = [task(), task(), task(), task()];
		const all = tasks.map(({ work }) => queue.run(1, never, work));
		await settle();
		expect(tasks.map(({ at }) => at.started)).toEqual([true, true, false, false]);
		tasks[1]?.at.end();
		await settle();
		expect(tasks.map(({ at }) => at.started)).toEqual([true, true, true, false]);
		for (const { at } of tasks) at.end();
		await Promise.all(all);
		expect(queue.running).toBe(0);
	});

	it("starts the commands of one request together, and nothing overtakes them", async () => {
		const queue = new Queue({ parallelism: 2, length: 10 });
		const [first, pair, small] = [task(), task(), task()];
		const all = [queue.run(1, never, first.work), queue.run(2, never, pair.work), queue.run(1, never, small.work)];
		await settle();
		expect([first, pair, small].map(({ at }) => at.started)).toEqual([true, false, false]);
		first.at.end();
		await settle();
		expect([pair, small].map(({ at }) => at.started)).toEqual([true, false]);
		pair.at.end();
		small.at.end();
		await Promise.all(all);
	});

	it("says no when too many wait", async () => {
		const queue = new Queue({ parallelism: 1, length: 1 });
		const [running, waiting] = [task(), task()];
		const all = [queue.run(1, never, running.work), queue.run(1, never, waiting.work)];
		await expect(queue.run(1, never, task().work)).rejects.toMatchObject({ status: 429, retryAfter: 1 });
		running.at.end();
		waiting.at.end();
		await Promise.all(all);
	});

	it("refuses what never fits", async () => {
		const queue = new Queue({ parallelism: 2, length: 1 });
		await expect(queue.run(3, never, task().work)).rejects.toMatchObject({ status: 400 });
	});

	it("forgets who goes away while they wait", async () => {
		const queue = new Queue({ parallelism: 1, length: 5 });
		const [running, gone, last] = [task(), task(), task()];
		const leave = new AbortController();
		const first = queue.run(1, never, running.work);
		const waiting = queue.run(1, leave.signal, gone.work);
		const third = queue.run(1, never, last.work);
		leave.abort();
		await expect(waiting).rejects.toMatchObject({ code: "CANCELLED" });
		running.at.end();
		last.at.end();
		await Promise.all([first, third]);
		expect(gone.at.started).toBe(false);
	});

	it("once closed takes nothing, and ends with what it has", async () => {
		const queue = new Queue({ parallelism: 1, length: 5 });
		const [running, waiting] = [task(), task()];
		const all = [queue.run(1, never, running.work), queue.run(1, never, waiting.work)];
		const at = { closed: false };
		const closing = queue.close().then(() => {
			at.closed = true;
		});
		await expect(queue.run(1, never, task().work)).rejects.toMatchObject({ status: 503 });
		running.at.end();
		await settle();
		expect(at.closed).toBe(false);
		waiting.at.end();
		await Promise.all([...all, closing]);
		expect(at.closed).toBe(true);
	});

	it("goes on when work fails", async () => {
		const queue = new Queue({ parallelism: 1, length: 5 });
		await expect(queue.run(1, never, () => Promise.reject(new Error("no")))).rejects.toThrow("no");
		await expect(queue.run(1, never, () => Promise.resolve(7))).resolves.toBe(7);
	});
});
