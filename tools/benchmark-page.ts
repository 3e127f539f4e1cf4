/**
 * Writes the figures of docs/benchmarks.md, and their charts in docs/images, from bench/results. With --check: changes
 * nothing, exits 1 where they are out of date.
 */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { readResult } from "../bench/report/result-file.ts";
import { renderResult } from "../bench/report/result-page.ts";
import { SCENARIOS } from "../bench/scenarios.ts";
import { writeSection, writeWhole } from "./generated-section.ts";

const DIRECTORY = "docs/images";

const images = new Map<string, string | undefined>(
  readdirSync(DIRECTORY)
    .filter((file) => /^bench-.*\.svg$/.test(file))
    .map((file) => [file, undefined]),
);
for (const { name } of SCENARIOS) {
  const page = renderResult(name, readResult(name));
  writeSection("docs/benchmarks.md", `bench ${name}`, page.markdown);
  for (const [file, svg] of page.images) images.set(file, svg);
}
for (const [file, svg] of images) writeWhole(join(DIRECTORY, file), svg);
