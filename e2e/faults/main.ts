/** `npm run faults`: everything that can go wrong, on a real mesh under load; afterwards nothing may be missing. */
import { writeFile } from "node:fs/promises";
import { parseArgs } from "node:util";
import { findNatsServer } from "@chowhound/local/nats-server-binary";
import { ScenarioRunner } from "./harness/run-scenario.ts";
import { loadScenarios, selectScenarios } from "./load-scenarios.ts";
import { type Played, renderTable } from "./report.ts";
import { reasonToSkip } from "./skip.ts";

const help = `Plays fault scenarios, each on a real mesh of processes under load, and looks afterwards whether every accepted record is
where it belongs. Exit code 1 if one is not.

  npm run faults -- [scenario …] [flags]

  scenario        3: all whose names begin with 3-; 3-deadlock: that one; none: all
  --list          names them, and does nothing
  --fast          only what the tests do
  --seed N        for the producers and all chances; by default another one each time
  --json FILE     writes what was seen to a file
`;

const flag = { type: "boolean", default: false } as const;
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { list: flag, fast: flag, help: flag, seed: { type: "string" }, json: { type: "string" } },
});
const scenarios = selectScenarios(await loadScenarios(), positionals).filter(
  ({ scenario }) => !values.fast || scenario.isFast === true,
);
if (values.help) process.stdout.write(help);
else if (values.list)
  for (const { name, scenario } of scenarios) console.log(`${name.padEnd(24)} ${scenario.title}`);
else if (scenarios.length === 0) fail(`no scenario begins with ${positionals.join(" or ")}; see --list`);
else await play();

async function play(): Promise<void> {
  const seed = values.seed === undefined ? Math.floor(Math.random() * 2 ** 31) : Number(values.seed);
  if (!Number.isSafeInteger(seed)) return fail(`--seed: ${values.seed} is not a whole number`);
  const nats = await findNatsServer({ log: () => {} });
  console.log(`seed ${seed}, nats-server ${nats.version}`);
  const played: Played[] = [];
  const runner = new ScenarioRunner({ seed, isFull: !values.fast, onLine: (line) => console.log(line) });
  try {
    for (const { name, scenario } of scenarios) {
      console.log(`\n${name}: ${scenario.title}`);
      const skipped = reasonToSkip(scenario, nats);
      if (skipped !== undefined) {
        console.log(`skipped: ${skipped}`);
        played.push({ name, title: scenario.title, skipped });
        continue;
      }
      const result = await runner.run(name, scenario);
      for (const problem of result.problems) console.log(`FAILED: ${problem}`);
      played.push(result);
    }
  } finally {
    await runner.close();
  }
  console.log(`\n${renderTable(played)}`);
  if (values.json !== undefined)
    await writeFile(values.json, `${JSON.stringify({ seed, natsVersion: nats.version, played }, null, 2)}\n`);
  if (played.some((each) => "problems" in each && each.problems.length > 0)) process.exitCode = 1;
}

function fail(message: string): void {
  console.error(`faults: ${message}`);
  process.exitCode = 2;
}
