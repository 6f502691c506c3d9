const WIDTH = 100;
/** Where the right one of two columns begins. */
const COLUMN = 30;

/** Two columns. */
export function row(left: string, right: string): string {
  const [first = "", ...more] = wrap(right.split(/(?= )/), " ".repeat(COLUMN));
  const start = `  ${left}`;
  return start.length < COLUMN - 1 ? [start.padEnd(COLUMN) + first.trimStart(), ...more].join("\n") : [start, first, ...more].join("\n");
}

/** Lines of at most WIDTH, broken between the parts; a part carries the blank before it. */
export function wrap(parts: readonly string[], indent: string, further = indent): string[] {
  const lines: string[] = [];
  let line = indent;
  for (const part of parts) {
    if (line.trim() !== "" && line.length + part.length > WIDTH) {
      lines.push(line.trimEnd());
      line = further + part.trimStart();
    } else line += part;
  }
  return [...lines, line];
}
