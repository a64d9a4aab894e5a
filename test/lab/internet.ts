/**
 * The lab's Internet: runs inside its network namespace, says everything it receives as JSON lines on its standard output, and
 * ends with its standard input. Arguments: the role ("internet" or "host"), the folder of the certificates.
 */

import { createSocket, type Socket as UdpSocket } from "node:dgram";
import { readFileSync } from "node:fs";
import { createServer as createHttpServer, type IncomingMessage, type ServerResponse } from "node:http";
import { createServer as createHttpsServer } from "node:https";
import { createServer, type Server, type Socket } from "node:net";
import { join } from "node:path";
import type { TLSSocket } from "node:tls";
import { decode, encode, type Packet } from "dns-packet";
import type { LabEvent } from "./events.ts";
import { address, answerOf, host, LATE_ECHO_MS, LATE_ECHO_PORT, resolver } from "./zone.ts";

const [role = "internet", folder = "."] = process.argv.slice(2);

function say(event: LabEvent): void {
	process.stdout.write(`${JSON.stringify(event)}\n`);
}

const asked = new Map<string, number>();

function answerDns(query: Buffer, server: string, transport: "udp" | "tcp"): Buffer | undefined {
	let packet: Packet;
	try {
		packet = decode(query);
	} catch {
		say({ kind: "dns", server, transport, name: "?", type: "?" });
		return undefined;
	}
	const question = packet.questions?.[0];
	if (question === undefined) return undefined;
	const { name, type } = question;
	say({ kind: "dns", server, transport, name, type });
	const key = `${name} ${type}`;
	const { code, answers } = answerOf(name, type, asked.get(key) ?? 0);
	asked.set(key, (asked.get(key) ?? 0) + 1);
	const codes = { NOERROR: 0, SERVFAIL: 2, NXDOMAIN: 3 };
	return encode({
		type: "response",
		id: packet.id ?? 0,
		flags: 0x0180 | codes[code],
		questions: [question],
		answers: [...answers],
	});
}

function serveDns(server: string): Promise<unknown>[] {
	const udp = createSocket("udp4");
	udp.on("message", (query, sender) => {
		const answer = answerDns(query, server, "udp");
		if (answer === undefined) return;
		const cut =
			answer.length > 512
				? Buffer.concat([
						answer.subarray(0, 2),
						Buffer.from([0x83, 0x80]),
						query.subarray(4, 6),
						Buffer.alloc(6),
						query.subarray(12),
					])
				: answer;
		udp.send(cut, sender.port, sender.address);
	});
	const tcp = createServer((socket) => {
		let buffered = Buffer.alloc(0);
		socket.on("error", () => undefined);
		socket.on("data", (chunk) => {
			buffered = Buffer.concat([buffered, chunk]);
			while (buffered.length >= 2 && buffered.length >= 2 + buffered.readUInt16BE()) {
				const end = 2 + buffered.readUInt16BE();
				const answer = answerDns(buffered.subarray(2, end), server, "tcp");
				buffered = buffered.subarray(end);
				if (answer !== undefined)
					socket.write(Buffer.concat([Buffer.from([answer.length >> 8, answer.length & 255]), answer]));
			}
		});
	});
	return [bound(udp, 53, server), listening(tcp, 53, server)];
}

function bound(socket: UdpSocket, port: number, at: string): Promise<void> {
	return new Promise((resolve) => socket.bind(port, at, resolve));
}

function listening(server: Server, port: number, at: string): Promise<void> {
	server.on("connection", (socket: Socket) => {
		const { localAddress, localPort, remoteAddress } = socket;
		say({ kind: "connection", address: plain(localAddress), port: localPort ?? 0, peer: plain(remoteAddress) });
	});
	return new Promise((resolve) => server.listen({ port, host: at, ipv6Only: true, backlog: 4096 }, resolve));
}

function plain(text: string | undefined): string {
	return (text ?? "?").replace(/^::ffff:/, "");
}

/** Redirects as the real sites do, else a page that tells which host was asked for. "/bytes/N" is N bytes; a POST tells its length. */
function answerHttp(request: IncomingMessage, response: ServerResponse): void {
	const name = (request.headers.host ?? "").replace(/:\d+$/, "");
	const secure = "encrypted" in request.socket;
	const sni = secure ? String((request.socket as TLSSocket).servername) : undefined;
	const url = request.url ?? "/";
	say({ kind: "http", host: name, url, ...(sni === undefined ? {} : { sni }) });
	const redirect = redirectOf(name, secure);
	if (redirect !== undefined) return void response.writeHead(301, { location: `${redirect}${url}` }).end();
	if (url.startsWith("/repository.git/")) return void sendFile(response, url);
	const size = /^\/bytes\/(\d+)$/.exec(url)?.[1];
	if (size !== undefined) return void sendBytes(response, Number(size));
	let received = 0;
	request.on("data", (chunk: Buffer) => {
		received += chunk.length;
	});
	request.on("end", () => response.end(`hello from ${name}, ${received} bytes\n`));
}

function redirectOf(name: string, secure: boolean): string | undefined {
	if (name === "python.org") return "https://www.python.org";
	const sites = ["npm.org", "pypi.org", "www.python.org"];
	return !secure && sites.includes(name) ? `https://${name}` : undefined;
}

/** A repository that a test has put into the folder, for git's dumb protocol. */
function sendFile(response: ServerResponse, url: string): void {
	const [path = ""] = url.split("?");
	try {
		response.end(readFileSync(join(folder, ...path.split("/").filter((part) => part !== ".."))));
	} catch {
		response.writeHead(404).end();
	}
}

function sendBytes(response: ServerResponse, size: number): void {
	const block = Buffer.alloc(65_536, "x");
	let left = size;
	response.writeHead(200, { "content-length": size });
	const more = () => {
		while (left > 0) {
			const part = block.subarray(0, Math.min(left, block.length));
			left -= part.length;
			if (!response.write(part)) return void response.once("drain", more);
		}
		response.end();
	};
	more();
}

/** Speaks first, then repeats lines. */
const banner = createServer({ allowHalfOpen: true }, (socket) => {
	socket.on("error", () => undefined);
	socket.write("SSH-2.0-lab\r\n");
	socket.pipe(socket);
});

/** Counts what it gets until the client has finished, then tells: needs half-open connections. */
const counter = createServer({ allowHalfOpen: true }, (socket) => {
	let received = 0;
	socket.on("error", () => undefined);
	socket.on("data", (chunk) => {
		received += chunk.length;
	});
	socket.on("end", () => socket.end(`${received}\n`));
});

function udpService(port: number, at: string, answer: (message: Buffer) => Buffer, lateMs = 0): Promise<void> {
	const socket = createSocket("udp4");
	socket.on("message", (message, sender) => {
		say({ kind: "datagram", address: at, port, bytes: message.length });
		const send = () => socket.send(answer(message), sender.port, sender.address);
		if (lateMs === 0) send();
		else setTimeout(send, lateMs);
	});
	return bound(socket, port, at);
}

function ntpAnswer(): Buffer {
	const packet = Buffer.alloc(48);
	packet[0] = 0x24; // version 4, server
	packet.writeUInt32BE(Math.floor(Date.now() / 1000) + 2_208_988_800, 40);
	return packet;
}

function wholeInternet(): Promise<unknown>[] {
	const tls = { key: readFileSync(join(folder, "server.key")), cert: readFileSync(join(folder, "server.pem")) };
	const web = ["0.0.0.0", "::"].flatMap((at) => [
		listening(createHttpServer(answerHttp), 80, at),
		listening(createHttpServer(answerHttp), 8080, at),
		listening(createHttpsServer(tls, answerHttp), 443, at),
	]);
	return [
		...web,
		...serveDns(resolver),
		...serveDns(address.eight),
		listening(banner, 22, address.ssh),
		listening(counter, 9, address.ssh),
		udpService(7, address.udp, (message) => message),
		udpService(LATE_ECHO_PORT, address.udp, (message) => message, LATE_ECHO_MS),
		udpService(123, address.udp, ntpAnswer),
	];
}

/** Services on the host itself, which no jail may reach. */
function hostServices(): Promise<unknown>[] {
	return ["127.0.0.1", "::1", host.v4, host.v6].map((at) => listening(createHttpServer(answerHttp), 80, at));
}

process.stdin.resume().on("end", () => process.exit(0));
await Promise.all(role === "host" ? hostServices() : wholeInternet());
say({ kind: "ready" });
