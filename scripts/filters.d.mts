import type { Plugin } from "esbuild";

export function readyModule(root: string): Promise<string>;
export function readyFilters(root: string): Plugin;
