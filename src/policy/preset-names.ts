/** Apart from the presets themselves, so that the schema can name them without importing them. */
export const PRESET_NAMES = ["default", "agent", "judge", "npm-install", "parser"] as const;

export type PresetName = (typeof PRESET_NAMES)[number];
