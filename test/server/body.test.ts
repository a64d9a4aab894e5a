import { once } from "node:events";
import { createServer, type IncomingMessage } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { describe, expect, it } from "vitest";
import { bodyText } from "../../src/server/body.ts";

/** What {@link bodyText} makes of these bytes on the wire, the client then closing or not. */
async function sent(text: string, close = false): Promise<string> {
	const server = createServer();
	server.listen(0, "127.0.0.1");
	await once(server, "listening");
	const socket = connect((server.address() as AddressInfo).port, "127.0.0.1");
	socket.on("error", () => undefined);
	const arrived = once(server, "request");
	socket.write(text);
	const [incoming] = (await arrived) as [IncomingMessage];
	if (close) socket.destroy();
	try {
		return await bodyText(incoming, 10);
	} catch (error) {
		const { status, message } = error as { readonly status?: number; readonly message: string };
		return `${status} ${message}`;
	} finally {
		socket.destroy();
		server.close();
	}
}

const sized = (length: number, body: string) =>
	`POST / HTTP/1.1\r\nHost: x\r\nContent-Length: ${length}\r\n\r\n${body}`;
const chunked = (body: string) =>
	`POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`;

describe("a request's body", () => {
	it("is read whole, up to the limit, with a length or without", async () => {
		expect(await sent(sized(10, "0123456789"))).toBe("0123456789");
		expect(await sent(chunked("0123456789"))).toBe("0123456789");
		expect(await sent(sized(0, ""))).toBe("");
		expect(await sent(sized(4, "\ufeffa"))).toBe("a");
	});

	it("is refused beyond the limit, with a length or without", async () => {
		const refused = "413 a request has at most 10 bytes (--max-body)";
		expect(await sent(sized(11, "01234567890"))).toBe(refused);
		expect(await sent(chunked("01234567890"))).toBe(refused);
	});

	it("is refused where the client leaves before its end", async () => {
		expect(await sent(sized(5, "01"), true)).toBe("400 the request ended before its end");
	});
});
