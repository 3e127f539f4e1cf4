/** `npm run bench`: what a mesh lands in a second, and what that costs, beside a plain copy of the same rows. */
import { catchStopSignals } from "@chowhound/local/stop-signals";
import { describeMachine, renderMachine } from "./machine.ts";
import { BrokenBooksError } from "./measure-load.ts";
import { measurePieces, renderPieces } from "./measure-pieces.ts";
import { type BenchOptions, help, parseBenchOptions, UsageError } from "./options.ts";
import { gatewayPieces } from "./pieces/gateway.ts";
import { type CopyTool, findCopyTool } from "./psql-copy.ts";
import { renderTable, renderVerdicts, summarize } from "./report.ts";
import { CALLS_COLUMNS, type CallsRound, runCallsRound } from "./run-calls-round.ts";
import { COLUMNS, type Round, runRound } from "./run-round.ts";
import {
  measureTraced,
  TRACING_MODES,
  type TracingMode,
  type TracingRound,
  tracingEnv,
} from "./run-tracing-round.ts";
import { startOtlpSink } from "./start-otlp-sink.ts";
import { type WithMeshOptions, withMesh } from "./with-mesh.ts";

const EXIT_INTERRUPTED = 130;

async function bench(options: BenchOptions): Promise<void> {
  const { signal } = catchStopSignals(console.error);
  try {
    if (options.scenario === "pieces") return await measureGateway(options, signal);
    const copyTool = await findCopyTool();
    const machine = await describeMachine(copyTool);
    console.log(`${renderMachine(machine)}\n`);
    const results = await (options.scenario === "tracing"
      ? compareTracing(options, signal)
      : options.scenario === "calls"
        ? compareCalls(options, signal)
        : compareWithCopy(options, copyTool, signal));
    console.log(results.table);
    const { summary, rounds } = results;
    if (options.json) console.log(JSON.stringify({ machine, options, summary, rounds }));
  } catch (error) {
    if (!signal.aborted) throw error;
    process.exitCode = EXIT_INTERRUPTED;
  }
}

interface Results {
  table: string;
  summary: unknown;
  rounds: readonly unknown[];
}

async function compareWithCopy(
  options: BenchOptions,
  copyTool: CopyTool,
  signal: AbortSignal,
): Promise<Results> {
  const { records } = options;
  const rounds: Round[] = [];
  for (let number = 1; number <= options.rounds; number++) {
    const round = await withMesh(
      { profile: profileOf(options, `round-${number}`), signal },
      (mesh, dataDir) => runRound(mesh, { records, copyTool, dataDir, signal }),
    );
    rounds.push(round);
    console.log(`round ${number} of ${options.rounds}\n${renderVerdicts(round)}\n`);
  }
  const summary = summarize(rounds, COLUMNS, "copy");
  const copy = copyTool.kind === "psql" ? "psql \\copy" : "COPY";
  const columns = { fresh: "fresh", resent: "resent", updates: "updates", copy };
  return { table: renderTable(summary, { columns, speed: "speed, of the copy's" }), summary, rounds };
}

async function compareTracing(options: BenchOptions, signal: AbortSignal): Promise<Results> {
  const { records } = options;
  const sink = await startOtlpSink();
  try {
    const rounds: TracingRound[] = [];
    for (let number = 1; number <= options.rounds; number++) {
      const round: Partial<TracingRound> = {};
      for (const mode of turned(TRACING_MODES, number - 1)) {
        const profile = profileOf(options, `round-${number}-tracing-${mode}`);
        round[mode] = await withMesh({ profile, env: tracingEnv(mode, sink), signal }, (mesh) =>
          measureTraced(mesh, { records, sink, signal }),
        );
        console.log(
          `round ${number} of ${options.rounds}, ${TITLES[mode]}: ${round[mode].spanBytes} bytes of spans`,
        );
      }
      rounds.push(round as TracingRound);
    }
    const summary = summarize(rounds, TRACING_MODES, "off");
    const titles = { columns: TITLES, speed: "speed, of the first's", cpu: "CPU, of the first's" };
    return { table: `\n${renderTable(summary, titles)}`, summary, rounds };
  } finally {
    await sink.stop();
  }
}

async function compareCalls(options: BenchOptions, signal: AbortSignal): Promise<Results> {
  const rounds: CallsRound[] = [];
  for (let number = 1; number <= options.rounds; number++) {
    const profile = profileOf(options, `round-${number}-calls`);
    const round = await withMesh({ profile, signal }, (mesh) =>
      runCallsRound(mesh, { records: options.records, signal }),
    );
    rounds.push(round);
    const sizes = CALLS_COLUMNS.map(
      (name) => `${name} ${Math.round(round[name].records / round[name].batches)}`,
    );
    console.log(`round ${number} of ${options.rounds}: records in a batch: ${sizes.join(", ")}`);
  }
  const summary = summarize(rounds, CALLS_COLUMNS, "batched");
  const columns = {
    batched: "calls of 500",
    shared: "of one, 64 clients on one connection",
    single: "of one, 64 clients with one each",
  };
  return { table: `\n${renderTable(summary, { columns, speed: "speed, of the first's" })}`, summary, rounds };
}

async function measureGateway({ rounds, json }: BenchOptions, signal: AbortSignal): Promise<void> {
  const pieces = gatewayPieces();
  const costsUs = await measurePieces(pieces, rounds, signal);
  console.log(renderPieces(pieces, costsUs));
  if (json) console.log(JSON.stringify(costsUs));
}

const TITLES: Record<TracingMode, string> = {
  off: "not configured",
  none: "0 %",
  few: "1 %",
  all: "100 %",
};

/** Each round begins with another one, so that none always comes first. */
function turned<T>(items: readonly T[], by: number): T[] {
  return items.map((_, i) => items[(i + by) % items.length]!);
}

function profileOf({ profileDir }: BenchOptions, label: string): WithMeshOptions["profile"] {
  return profileDir === undefined ? undefined : { directory: profileDir, label };
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
