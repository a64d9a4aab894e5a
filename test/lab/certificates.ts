/** A certificate authority and one server certificate for all names of the lab, made by openssl(1). */

import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";

/** Writes ca.pem, server.pem, server.key, and wgetrc (wget reads no SSL_CERT_FILE) into `folder`. */
export function makeCertificates(folder: string, names: readonly string[]): void {
	const openssl = (...args: string[]) =>
		execFileSync("openssl", args, { cwd: folder, stdio: ["ignore", "ignore", "pipe"] });
	const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
	openssl("req", "-x509", ...key, "-days", "2", "-subj", "/CN=vmjail lab CA", "-keyout", "ca.key", "-out", "ca.pem");
	openssl("req", ...key, "-subj", "/CN=lab", "-keyout", "server.key", "-out", "server.csr");
	writeFileSync(join(folder, "names.cnf"), `subjectAltName=${names.map((name) => `DNS:${name}`).join(",")}\n`);
	const sign = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "names.cnf"];
	openssl("x509", "-req", "-in", "server.csr", ...sign, "-out", "server.pem");
	writeFileSync(
		join(folder, "wgetrc"),
		`ca_certificate = ${join(folder, "ca.pem")}\nhsts = off\ntries = 1\ntimeout = 10\n`,
	);
}
