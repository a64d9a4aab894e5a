/** Text tables: the first column to the left, numbers to the right. */

/** @param {readonly (readonly string[])[]} rows the first is the head */
export function table(rows) {
	const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => (row[column] ?? "").length)));
	const line = (row) =>
		row
			.map((cell, column) => (column === 0 ? cell.padEnd(widths[0]) : cell.padStart(widths[column])))
			.join("  ")
			.trimEnd();
	return `${[line(rows[0]), widths.map((width) => "-".repeat(width)).join("  "), ...rows.slice(1).map(line)].join("\n")}\n`;
}
