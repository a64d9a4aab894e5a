/** Answers every question for an A record with one address. Arguments: where to listen, and that address. */

import { createSocket } from "node:dgram";
import { decode, encode } from "dns-packet";

const [, , listen, address] = process.argv;
const socket = createSocket("udp4");
socket.on("message", (query, { port, address: from }) => {
	const { id, questions = [] } = decode(query);
	const answers = questions
		.filter(({ type }) => type === "A")
		.map(({ name }) => ({ name, type: "A", ttl: 300, data: address }));
	socket.send(encode({ type: "response", id, flags: 0x0180, questions, answers }), port, from);
});
socket.bind(53, listen, () => process.stdout.write("ready\n"));
process.stdin.resume().on("end", () => process.exit());
