/** First words that are commands of vmjail's own, with a line about each. */
export const COMMANDS = {
	run: "run a program in a jail (the default)",
	plan: "print the system calls that a run would make",
	check: "check a policy, and whether this host can enforce it",
	why: "say whether a destination is allowed, and by which rule",
	explain: "say a network policy in words",
	doctor: "check this host",
	oci: "export a policy as an OCI bundle: oci export DIR",
	serve: "answer go-judge's API; as root on a unix socket, a broker for ordinary users",
	schema: "print the policy's JSON Schema",
	completion: "print a completion script: completion bash|zsh|fish",
} as const;

export const SHELLS = ["bash", "zsh", "fish"] as const;
