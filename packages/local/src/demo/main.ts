/** `npm run demo`: a mesh in a temporary directory, real records through it, the books checked, everything removed. */
import { chmod, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { writeEndpoints } from "../endpoints-file.ts";
import { type Mesh, startMesh } from "../mesh.ts";
import { repositoryRoot } from "../node-binary.ts";
import { removePostgresData } from "../postgres.ts";
import { describeExit } from "../server-child.ts";
import { showEndpoints } from "../show-endpoints.ts";
import { aborted, catchStopSignals } from "../stop-signals.ts";
import { superviseMesh } from "../supervise-mesh.ts";
import { runDemo } from "./run-demo.ts";

const help = `Starts a fresh mesh in a temporary directory, pushes every package below node_modules through it the way real
producers do, checks the books, and removes everything again. Exit code 0 if all is as it should be, 1 if not.

  npm run demo -- [flags]

  --keep   leave the mesh up afterwards, until Ctrl-C
  --help
`;
const EXIT_INTERRUPTED = 130;
const shownLines = 8;

/** Returns the exit code. */
async function main(keep: boolean): Promise<number> {
  const startedMs = performance.now();
  const { signal, isForced } = catchStopSignals(console.log);
  const dataDir = await mkdtemp(join(tmpdir(), "chowhound-demo-"));
  // PostgreSQL may have to run as another user, who has to get through.
  await chmod(dataDir, 0o711);
  let mesh: Mesh | undefined;
  let isGood = false;
  try {
    console.log("Starting a mesh of its own for the demo");
    mesh = await startMesh({ dataDir, signal, log });
    isGood = await showDemo(mesh, signal);
    if (keep) await keepUp(mesh, dataDir, signal);
    else console.log("\nStopping");
  } catch (error) {
    // Whatever fails after a Ctrl-C fails because of it.
    if (!signal.aborted) console.error(`\n${(error as Error).message}`);
  }
  try {
    await mesh?.stop();
  } catch (error) {
    if (!isForced()) console.error((error as Error).message);
    isGood = false;
  }
  await removePostgresData(join(dataDir, "postgres"));
  await rm(dataDir, { recursive: true, force: true, maxRetries: 10 });

  const took = `${((performance.now() - startedMs) / 1000).toFixed(0)} s`;
  if (isGood) console.log(`demo: OK in ${took}, nothing left behind`);
  else if (signal.aborted) console.log("demo: interrupted, nothing left behind");
  else console.error("demo: FAILED, see above");
  return isGood ? 0 : signal.aborted ? EXIT_INTERRUPTED : 1;
}

/** Runs the demo and says how it went; false if something is wrong. */
async function showDemo(mesh: Mesh, signal: AbortSignal): Promise<boolean> {
  const over = new AbortController();
  const untilOver = AbortSignal.any([signal, over.signal]);
  try {
    const problems = await Promise.race([
      runDemo(mesh, { root: repositoryRoot, signal: untilOver, output: process.stdout }),
      firstDeath(mesh, signal),
    ]);
    if (problems.length === 0) {
      console.log(`\n${checked}`);
      return true;
    }
    console.error(`\nThis is wrong:\n${problems.map((problem) => `  ${problem}`).join("\n")}`);
  } catch (error) {
    if (signal.aborted) throw error;
    // Whatever of it is still under way keeps quiet from now on.
    over.abort();
    console.error(`\n${(error as Error).message}`);
  }
  await showLogs(mesh);
  return false;
}

/** Leaves the mesh to the user until the signal. */
async function keepUp(mesh: Mesh, dataDir: string, signal: AbortSignal): Promise<void> {
  const noteEndpoints = () => writeEndpoints(dataDir, mesh);
  superviseMesh(mesh, { signal, log, onRestarted: noteEndpoints });
  await noteEndpoints();
  console.log(`\nThe mesh stays up until Ctrl-C, in ${dataDir}\n\n${showEndpoints(mesh.endpoints)}\n`);
  await aborted(signal);
}

const checked = `Checked: accepted = sum of the verdicts, invoice by invoice; rows = stored - deleted; one row per key; the
newest of each key is in the table; dead letters are kept.

What to try next
  npm run demo -- --keep    the same, and the mesh stays up for a look around
  npm start                 a mesh that keeps its data, with a key and a curl command to push your own records
  docs/pipelines.md         what a pipeline can do to a record on its way`;

/** Rejects when a process of the mesh dies, with what it said last. */
function firstDeath(mesh: Mesh, signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    for (const process of mesh.processes) {
      process.onUnexpectedExit(({ exit, logTail }) => {
        reject(new Error(`${process.name} has died: ${describeExit(exit)}\n${logTail}`));
      });
    }
    signal.addEventListener("abort", () => reject(signal.reason));
  });
}

/** What the logs end with: they are about to be removed. */
async function showLogs(mesh: Mesh): Promise<void> {
  for (const { name, logFile } of mesh.processes) {
    const lines = (await readFile(logFile, "utf8").catch(() => "")).trimEnd().split("\n");
    console.error(`\n  the log of ${name} ends with`);
    for (const line of lines.slice(-shownLines)) console.error(`  | ${line}`);
  }
}

function log(line: string): void {
  console.log(`  ${line}`);
}

for (const stream of [process.stdout, process.stderr]) stream.on("error", () => {});
try {
  const { values } = parseArgs({
    options: { keep: { type: "boolean", default: false }, help: { type: "boolean", default: false } },
  });
  if (values.help) process.stdout.write(help);
  else process.exitCode = await main(values.keep);
} catch (error) {
  if (!(error as NodeJS.ErrnoException).code?.startsWith("ERR_PARSE_ARGS")) throw error;
  console.error(`${(error as Error).message}; see --help`);
  process.exitCode = 2;
}
