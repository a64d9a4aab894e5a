/** `vmjail schema`: the policy's JSON Schema, for editors. */

import { packageText } from "../executor/package-files.ts";

/** The text of schema/policy.schema.json. */
export function policyJsonSchema(): string {
	return packageText("schema/policy.schema.json");
}
