/**
 * Writes the configuration tables of the services' READMEs from the services' settings. With --check: changes nothing,
 * exits 1 where a table is out of date.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { processSettings } from "@chowhound/shared/runtime/common-settings";
import { configTable, type Settings } from "@chowhound/shared/runtime/config";
import { settings as dedup } from "../services/dedup/src/config.ts";
import { settings as enricher } from "../services/enricher/src/config.ts";
import { settings as gateway } from "../services/gateway/src/config.ts";
import { settings as store } from "../services/store/src/config.ts";

const BEGIN = "<!-- configuration -->";
const END = "<!-- /configuration -->";
const checkOnly = process.argv.includes("--check");

const services: Record<string, Settings> = { gateway, enricher, dedup, store };
for (const [name, settings] of Object.entries(services)) {
  const file = `services/${name}/README.md`;
  const before = readFileSync(file, "utf8");
  const [head, rest] = before.split(BEGIN);
  const tail = rest?.split(END)[1];
  if (head === undefined || tail === undefined) throw new Error(`${file} lacks ${BEGIN} … ${END}`);
  const after = `${head}${BEGIN}\n${configTable({ ...processSettings, ...settings })}\n${END}${tail}`;
  if (after === before) continue;
  if (checkOnly) {
    console.log(`FAILED  ${file}: its configuration table is out of date: run \`npm run docs\``);
    process.exitCode = 1;
  } else {
    writeFileSync(file, after);
    console.log(`wrote   ${file}`);
  }
}
