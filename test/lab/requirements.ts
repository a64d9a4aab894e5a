import { execFileSync } from "node:child_process";

/** Why the lab cannot be built here, with the remedy; undefined where it can. */
export function labMissing(): string | undefined {
	if (process.getuid?.() !== 0) return "the network lab needs root: it makes network namespaces";
	const tools = ["ip", "nft", "openssl", "curl", "wget", "nsenter", "unshare", "setpriv", "cc"];
	const missing = tools.filter((tool) => !runs("sh", ["-c", `command -v ${tool}`]));
	if (missing.length > 0)
		return `the network lab needs ${missing.join(", ")}: apt-get install iproute2 nftables openssl curl wget util-linux gcc`;
	const makes = runs("unshare", ["--net", "nft", "add", "table", "inet", "probe"]);
	return makes ? undefined : "this kernel gives no network namespace with nftables";
}

function runs(program: string, args: readonly string[]): boolean {
	try {
		execFileSync(program, args, { stdio: "ignore" });
		return true;
	} catch {
		return false;
	}
}
