/** `vmjail schema`: the policy's JSON Schema, for editors. */

import schema from "../../schema/policy.schema.json" with { type: "json" };

/** schema/policy.schema.json, indented by tabs. */
export function policyJsonSchema(): string {
	return `${JSON.stringify(schema, undefined, "\t")}\n`;
}
