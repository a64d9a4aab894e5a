export declare function headerTable(arch: "x86_64" | "i386" | "aarch64"): Record<string, number> | undefined;
