import { printableLines } from "./format.ts";
import type { Output } from "./output.ts";

const NAME_WIDTH = 17;

/** One field per line, its name in front, and those without a text left out. Further lines of a text stand below its first. */
export async function showFields(
  out: Output,
  fields: Iterable<readonly [name: string, text: string]>,
): Promise<void> {
  for (const [name, text] of fields) {
    if (text === "") continue;
    const [first = "", ...rest] = printableLines(text);
    await out.line(`${out.style("bold", name.padEnd(NAME_WIDTH))}${first}`);
    for (const line of rest) await out.line(" ".repeat(NAME_WIDTH) + line);
  }
}
