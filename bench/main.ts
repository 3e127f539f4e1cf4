/** `npm run bench`: what a mesh lands in a second, and what that costs, beside a plain copy of the same rows. */
import { catchStopSignals } from "@chowhound/local/stop-signals";
import { describeMachine, renderMachine } from "./machine.ts";
import { type BenchOptions, help, parseBenchOptions, UsageError } from "./options.ts";
import { findCopyTool } from "./psql-copy.ts";
import { renderTable, renderVerdicts, summarize } from "./report.ts";
import { BrokenBooksError, type Round, runRound } from "./run-round.ts";
import { withMesh } from "./with-mesh.ts";

const EXIT_INTERRUPTED = 130;

async function bench(options: BenchOptions): Promise<void> {
  const { records, profileDir } = options;
  const { signal } = catchStopSignals(console.error);
  try {
    const copyTool = await findCopyTool();
    const machine = await describeMachine(copyTool);
    console.log(`${renderMachine(machine)}\n`);
    const rounds: Round[] = [];
    for (let number = 1; number <= options.rounds; number++) {
      const profile =
        profileDir === undefined ? undefined : { directory: profileDir, label: `round-${number}` };
      const round = await withMesh({ profile, signal }, (mesh, dataDir) =>
        runRound(mesh, { records, copyTool, dataDir, signal }),
      );
      rounds.push(round);
      console.log(`round ${number} of ${options.rounds}\n${renderVerdicts(round)}\n`);
    }
    const summary = summarize(rounds);
    console.log(renderTable(summary, copyTool.kind === "psql" ? "psql \\copy" : "COPY"));
    if (options.json) console.log(JSON.stringify({ machine, options, summary, rounds }));
  } catch (error) {
    if (!signal.aborted) throw error;
    process.exitCode = EXIT_INTERRUPTED;
  }
}

// The terminal may be gone before we are.
for (const stream of [process.stdout, process.stderr]) stream.on("error", () => {});
try {
  const options = parseBenchOptions(process.argv.slice(2));
  if (options === undefined) process.stdout.write(help);
  else await bench(options);
} catch (error) {
  if (error instanceof UsageError) {
    console.error(`${error.message}; see --help`);
    process.exitCode = 2;
  } else {
    console.error(error instanceof BrokenBooksError ? `bench: FAILED\n${error.message}` : error);
    process.exitCode = 1;
  }
}
