/** HTTP: go-judge's routes, and those that a service is expected to have. */

import type { HttpBindings } from "@hono/node-server";
import { type Context, Hono } from "hono";
import { bodyLimit } from "hono/body-limit";
import { VmjailError } from "../errors.ts";
import type { Encoding } from "./answer.ts";
import type { Guard } from "./auth.ts";
import { bodyText, drained, tooLarge } from "./body.ts";
import { bodyOf, HttpProblem, problemOf } from "./problem.ts";
import { parseRequest } from "./request.ts";
import type { Service } from "./service.ts";

/** The request header that asks for base64 in the answer; the field `encoding` of the request does so too. */
const ENCODING_HEADER = "x-vmjail-encoding";

export interface AppOptions {
	readonly service: Service;
	readonly guard: Guard;
	readonly version: string;
	/** Largest request, in bytes. */
	readonly maxBodyBytes: number;
	/** For /config. */
	readonly config: Readonly<Record<string, unknown>>;
}

type Env = { Bindings: HttpBindings };

function encodingOf(context: Context<Env>): Encoding {
	const asked = context.req.header(ENCODING_HEADER);
	if (asked === undefined || asked === "utf-8") return "utf-8";
	if (asked === "base64") return "base64";
	throw new HttpProblem(400, "REQUEST_INVALID", `${ENCODING_HEADER}: expected utf-8 or base64, got ${asked}`);
}

/** Aborts when the client goes away before it has its answer. */
function goneSignal({ env }: Context<Env>): AbortSignal {
	const gone = new AbortController();
	const { outgoing } = env;
	outgoing.once("close", () => {
		if (!outgoing.writableFinished) gone.abort();
	});
	if (outgoing.destroyed) gone.abort();
	return gone.signal;
}

function asProblem(error: unknown, log: Service["log"]): HttpProblem {
	if (error instanceof HttpProblem) return error;
	if (error instanceof VmjailError) return problemOf(error);
	log.error({ err: error }, "internal error");
	return new HttpProblem(500, "INTERNAL", "internal error; the server's log has it");
}

function answer(context: Context<Env>, problem: HttpProblem): Response {
	if (problem.retryAfter !== undefined) context.header("Retry-After", String(problem.retryAfter));
	if (problem.status === 401) context.header("WWW-Authenticate", "Bearer");
	// Of a request that is too large the rest is still coming, and nobody reads it.
	if (problem.status === 503 || problem.status === 413) context.header("Connection", "close");
	return context.json(bodyOf(problem), problem.status);
}

/** A header may hold Latin-1 only: the plain name for old clients, the exact one beside it (RFC 6266). */
function disposition(name: string): string {
	const plain = name.replaceAll(/[^\x20-\x7e]|["\\]/g, "_");
	return `attachment; filename="${plain}"; filename*=UTF-8''${encodeURIComponent(name).replaceAll("'", "%27")}`;
}

async function uploaded(context: Context<Env>): Promise<{ readonly name: string; readonly bytes: Uint8Array }> {
	const form = await context.req.parseBody().catch((cause: unknown) => {
		throw new HttpProblem(400, "REQUEST_SYNTAX", `not a form: ${String(cause)}`);
	});
	const { file } = form;
	if (!(file instanceof File)) {
		throw new HttpProblem(400, "REQUEST_INVALID", "expected a form (multipart/form-data) with a field file");
	}
	return { name: file.name, bytes: new Uint8Array(await file.arrayBuffer()) };
}

/** All routes; what they throw becomes an answer. */
export function appOf({ service, guard, version, maxBodyBytes, config }: AppOptions): Hono<Env> {
	const app = new Hono<Env>();
	const { log, metrics, store, queue } = service;
	app.onError((error, context) => answer(context, asProblem(error, log)));
	app.notFound((context) => answer(context, new HttpProblem(404, "NOT_FOUND", "there is nothing here")));

	app.use(async (context, next) => {
		const started = performance.now();
		await next();
		const { status } = context.res;
		const path = context.req.path.startsWith("/file/") ? "/file/:id" : context.req.path;
		metrics.request(status === 404 ? "other" : path, status);
		log.info({ method: context.req.method, path, status, ms: Math.round(performance.now() - started) }, "request");
	});
	app.use(async (context, next) => {
		const { req } = context;
		guard({
			authorization: req.header("authorization"),
			host: req.header("host"),
			origin: req.header("origin"),
			fetchSite: req.header("sec-fetch-site"),
		});
		await next();
	});
	app.post("/run", async (context) => {
		const request = parseRequest(await bodyText(context.env.incoming, maxBodyBytes));
		const encoding = request.encoding ?? encodingOf(context);
		const results = await service.run(request, encoding, goneSignal(context));
		return context.json(results);
	});

	app.use(
		bodyLimit({
			maxSize: maxBodyBytes,
			onError: async (context: Context<Env>) => {
				await drained(context.env.incoming);
				throw tooLarge(maxBodyBytes);
			},
		}),
	);
	app.get("/file", (context) => context.json(store.list()));
	app.post("/file", async (context) => {
		const { name, bytes } = await uploaded(context);
		return context.json(store.add(name, bytes));
	});
	app.get("/file/:id", (context) => {
		const { name, bytes } = store.read(context.req.param("id"));
		context.header("Content-Type", "application/octet-stream");
		context.header("Content-Disposition", disposition(name));
		return context.body(new Uint8Array(bytes));
	});
	app.delete("/file/:id", (context) => {
		store.remove(context.req.param("id"));
		return context.body(null, 200);
	});

	app.get("/version", (context) =>
		context.json({
			buildVersion: `vmjail ${version}`,
			nodeVersion: process.version,
			platform: process.arch,
			os: "linux",
		}),
	);
	app.get("/config", (context) => context.json(config));
	app.get("/healthz", (context) => (queue.closed ? context.text("shutting down\n", 503) : context.text("ok\n")));
	app.get("/metrics", async (context) => {
		context.header("Content-Type", metrics.registry.contentType);
		return context.body(await metrics.registry.metrics());
	});
	return app;
}
