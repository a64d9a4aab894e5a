/**
 * For tests that need something of the machine: `describe.skipIf(requireOr(reason))("…")`.
 *
 * @param reasonIfMissing undefined where the machine has what the tests need; else why it has not, with the remedy:
 *   "libseccomp's headers are missing: apt-get install libseccomp-dev".
 * @returns true where the tests must be skipped; the reason has then been printed.
 * @throws Error with the reason, where VMJAIL_MUST_WORK=1 forbids skips: the test file fails.
 */
export function requireOr(reasonIfMissing: string | undefined): boolean {
	if (reasonIfMissing === undefined) return false;
	if (process.env["VMJAIL_MUST_WORK"] === "1") {
		throw new Error(`VMJAIL_MUST_WORK=1 and a requirement is missing: ${reasonIfMissing}`);
	}
	process.stderr.write(`skipped: ${reasonIfMissing}\n`);
	return true;
}
