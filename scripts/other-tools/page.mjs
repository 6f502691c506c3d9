/** The tables of docs/other-tools.md, between their markers: `<!-- table NAME -->` … `<!-- end of table -->`. */

const markers = (name) => [`<!-- table ${name} -->\n`, "<!-- end of table -->"];

/** A Markdown table. `rows`: lists of cells. */
export const table = (head, rows) => [head, head.map(() => "---"), ...rows].map((cells) => `| ${cells.join(" | ")} |\n`).join("");

/** The page with a table replaced; throws when it has no place for it. */
export function withTable(page, name, text) {
  const [start, end] = place(page, name);
  return `${page.slice(0, start)}\n${text}\n${page.slice(end)}`;
}

/** The rows of a table in the page, as lists of cells, without its head. */
export function rowsOf(page, name) {
  const [start, end] = place(page, name);
  const lines = page
    .slice(start, end)
    .split("\n")
    .filter((line) => line.startsWith("|"))
    .slice(2);
  return lines.map((line) => line.slice(2, -2).split(" | "));
}

function place(page, name) {
  const [opening, closing] = markers(name);
  const start = page.indexOf(opening);
  const end = page.indexOf(closing, start);
  if (start < 0 || end < 0) throw new Error(`the page has no table ${name}`);
  return [start + opening.length, end];
}
