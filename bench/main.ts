/** `npm run bench`: what a mesh lands in a second, and what that costs, beside what it could at most and at least be. */
import { catchStopSignals } from "@chowhound/local/stop-signals";
import { describeMachine, renderMachine } from "./machine.ts";
import { BrokenBooksError } from "./measurement.ts";
import { type BenchOptions, parseBenchOptions, renderHelp, UsageError } from "./options.ts";
import { findCopyTool } from "./psql-copy.ts";
import { doubtsAbout } from "./report/load-table.ts";
import { type Result, saveResult } from "./report/result-file.ts";
import { renderTable } from "./report/table.ts";
import { SkippedError } from "./scenario.ts";
import { SCENARIOS } from "./scenarios.ts";

const EXIT_INTERRUPTED = 130;

async function bench(options: BenchOptions, command: string): Promise<void> {
  const { signal } = catchStopSignals(console.error);
  try {
    const copyTool = await findCopyTool();
    const machine = await describeMachine(copyTool);
    console.log(`${renderMachine(machine)}\n`);
    const results: Record<string, Result> = {};
    const skipped: Record<string, string> = {};
    for (const scenario of options.scenarios) {
      const { name } = scenario;
      try {
        const { tables, rounds } = await scenario.run({ ...options, copyTool, signal, log: console.log });
        const measuredOn = new Date().toISOString().slice(0, 10);
        const result = { command, measuredOn, machine, quick: options.quick, tables, rounds };
        results[name] = result;
        for (const table of tables) {
          console.log(`\n${name}: ${table.name}\n\n${renderTable(table)}\n`);
          for (const doubt of doubtsAbout(table)) console.log(`${doubt}\n`);
        }
        if (options.save) await saveResult(name, result);
      } catch (error) {
        if (!(error instanceof SkippedError)) throw error;
        skipped[name] = error.message;
        console.log(`skipped ${name}: ${error.message}\n`);
      }
    }
    if (options.json) console.log(JSON.stringify({ results, skipped }));
  } catch (error) {
    if (!signal.aborted) throw error;
    process.exitCode = EXIT_INTERRUPTED;
  }
}

// The terminal may be gone before we are.
for (const stream of [process.stdout, process.stderr]) stream.on("error", () => {});
try {
  const args = process.argv.slice(2);
  const options = parseBenchOptions(args, SCENARIOS);
  if (options === undefined) process.stdout.write(renderHelp(SCENARIOS));
  else await bench(options, ["npm run bench", ...(args.length > 0 ? ["--", ...args] : [])].join(" "));
} catch (error) {
  if (error instanceof UsageError) {
    console.error(`${error.message}; see --help`);
    process.exitCode = 2;
  } else {
    console.error(error instanceof BrokenBooksError ? `bench: FAILED\n${error.message}` : error);
    process.exitCode = 1;
  }
}
