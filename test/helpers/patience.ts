/**
 * How much slower than a usual machine this one is: what tests wait for at most is multiplied by it. 1, unless
 * VMJAIL_TEST_PATIENCE says otherwise (an emulated processor: 15).
 */
export const PATIENCE = Number(process.env["VMJAIL_TEST_PATIENCE"] ?? "1");

/** For vi.waitFor and vi.waitUntil: what comes at once on a quiet machine may take seconds where others have the processors. */
export const SOON = { timeout: 20_000 * PATIENCE } as const;
