import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";

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
  if (checkOnly) fail(`${file}: its section "${name}" is out of date`);
  else write(file, after);
}

/** The same for a whole file. @param content undefined: there is to be no such file */
export function writeWhole(file: string, content: string | undefined): void {
  const before = existsSync(file) ? readFileSync(file, "utf8") : undefined;
  if (content === before) return;
  if (checkOnly) fail(`${file} is out of date`);
  else if (content === undefined) rmSync(file);
  else write(file, content);
}

function fail(problem: string): void {
  console.log(`FAILED  ${problem}: run \`npm run docs\``);
  process.exitCode = 1;
}

function write(file: string, content: string): void {
  writeFileSync(file, content);
  console.log(`wrote   ${file}`);
}
