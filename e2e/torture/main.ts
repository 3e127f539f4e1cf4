/** `npm run torture`: whatever can happen, at any moment, to a mesh at work; afterwards nothing may be missing. */
import { writeFile } from "node:fs/promises";
import { catchStopSignals } from "@chowhound/local/stop-signals";
import { type CommandOptions, help, parseTortureOptions, UsageError } from "./options.ts";
import { renderReport } from "./report.ts";
import { runTorture } from "./run-torture.ts";

const print = (line: string): void => console.log(line);

try {
  const options = parseTortureOptions(process.argv.slice(2));
  if (options === undefined) print(help);
  else await torture(options);
} catch (error) {
  if (!(error instanceof UsageError)) throw error;
  console.error(`torture: ${error.message}`);
  process.exitCode = 2;
}

async function torture({
  minutes,
  rounds,
  kinds,
  faults,
  natsServers,
  ...options
}: CommandOptions): Promise<void> {
  const seed = options.seed ?? Math.floor(Math.random() * 2 ** 31);
  const { signal } = catchStopSignals(print);
  print(`seed ${seed}`);
  const result = await runTorture({
    seed,
    maxMs: minutes * 60_000,
    maxRounds: rounds,
    kinds,
    natsServers,
    keepFiles: options.keepFiles,
    signal,
    onLine: print,
  });
  print(`\n${renderReport(result)}`);
  if (options.jsonFile !== undefined)
    await writeFile(options.jsonFile, `${JSON.stringify(result, null, 2)}\n`);
  for (const finding of result.findings) print(`FOUND: ${finding}`);
  for (const dataDir of result.dataDirs) print(`Logs and data: ${dataDir}`);
  if (result.findings.length === 0) return;
  const flags = [
    `--seed ${seed}`,
    `--rounds ${result.rounds}`,
    ...(faults === undefined ? [] : [`--faults ${faults}`]),
    ...(natsServers === undefined ? [] : [`--nats ${natsServers}`]),
  ];
  print(`The same loads and faults again: npm run torture -- ${flags.join(" ")}`);
  process.exitCode = 1;
}
