/** `npm start`: a whole mesh in the foreground. */
import { relative, resolve } from "node:path";
import type { LiveScreen } from "@chowhound/cli/screen/live-screen";
import { DataDirInUseError } from "./data-dir-claim.ts";
import { endpointsPath, removeEndpoints, writeEndpoints } from "./endpoints-file.ts";
import { PortInUseError } from "./free-port.ts";
import { type Mesh, startMesh } from "./mesh.ts";
import { showEndpoints } from "./show-endpoints.ts";
import { showMesh } from "./show-mesh.ts";
import {
  explainPortInUse,
  parseStartOptions,
  type StartOptions,
  startHelp,
  UsageError,
} from "./start-options.ts";
import { aborted, catchStopSignals } from "./stop-signals.ts";
import { superviseMesh } from "./supervise-mesh.ts";

const EXIT_FORCED = 130;

/** The view below the log, while there is one. */
let screen: LiveScreen | undefined;

/** Runs until it is told to stop. Returns the exit code. */
async function start(options: StartOptions): Promise<number> {
  const dataDir = resolve(options.dataDir);
  const fromHere = relative(process.cwd(), dataDir);
  const shownDir = fromHere === "" || fromHere.startsWith("..") ? dataDir : fromHere;
  const { signal, isForced } = catchStopSignals(print);

  console.log(`Starting a mesh in ${shownDir} (Ctrl-C stops it)`);
  let mesh: Mesh;
  try {
    mesh = await startMesh({ dataDir, ports: options.ports, metrics: options.metrics, signal, log });
  } catch (error) {
    if (isForced()) return EXIT_FORCED;
    console.error(signal.aborted ? "Stopped before it was up." : explain(error, options));
    return signal.aborted ? 0 : 1;
  }
  const noteEndpoints = () => writeEndpoints(dataDir, mesh);
  superviseMesh(mesh, { signal, log, onRestarted: noteEndpoints });
  await noteEndpoints();
  console.log(`\n${showEndpoints(mesh.endpoints)}\n`);
  console.log(
    `This, for programs: ${endpointsPath(shownDir)}. Logs: ${shownDir}/logs. Ctrl-C drains and stops.\n`,
  );

  if (options.live && process.stdout.isTTY === true)
    screen = showMesh(mesh.endpoints.admin, { output: process.stdout, signal });

  await aborted(signal);
  await screen?.stopped;
  try {
    await mesh.stop();
    console.log("Stopped. The data stays; `npm start` goes on where this ended.");
    return 0;
  } catch (error) {
    if (isForced()) return EXIT_FORCED;
    console.error((error as Error).message);
    return 1;
  } finally {
    await removeEndpoints(dataDir);
  }
}

function explain(error: unknown, { dataDir, ports }: StartOptions): string {
  if (error instanceof PortInUseError) return explainPortInUse(error, ports);
  if (error instanceof DataDirInUseError) {
    return `a mesh already runs on ${dataDir} (process ${error.pid}); how to reach it is in ${endpointsPath(dataDir)}`;
  }
  return (error as Error).message;
}

function log(line: string): void {
  print(`  ${line}`);
}

function print(line: string): void {
  if (screen === undefined) console.log(line);
  else screen.note(line);
}

// The terminal may be gone before we are.
for (const stream of [process.stdout, process.stderr]) stream.on("error", () => {});
try {
  const options = parseStartOptions(process.argv.slice(2));
  if (options.help) process.stdout.write(startHelp);
  else process.exitCode = await start(options);
} catch (error) {
  if (!(error instanceof UsageError)) throw error;
  console.error(`${error.message}; see --help`);
  process.exitCode = 2;
}
