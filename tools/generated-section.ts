import { readFileSync, writeFileSync } from "node:fs";

const checkOnly = process.argv.includes("--check");

/**
 * Writes what stands in a Markdown file between `<!-- name -->` and `<!-- /name -->`. With --check on the command line:
 * changes nothing, and makes the process exit with 1 where it is out of date.
 */
export function writeSection(file: string, name: string, content: string): void {
  const [begin, end] = [`<!-- ${name} -->`, `<!-- /${name} -->`];
  const before = readFileSync(file, "utf8");
  const [head, rest] = before.split(begin);
  const tail = rest?.split(end)[1];
  if (head === undefined || tail === undefined) throw new Error(`${file} lacks ${begin} … ${end}`);
  const after = `${head}${begin}\n${content}\n${end}${tail}`;
  if (after === before) return;
  if (checkOnly) {
    console.log(`FAILED  ${file}: its section "${name}" is out of date: run \`npm run docs\``);
    process.exitCode = 1;
  } else {
    writeFileSync(file, after);
    console.log(`wrote   ${file}`);
  }
}
