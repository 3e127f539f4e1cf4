/** `chow`: runs one command and ends with a code of exit-codes.ts. */
import { CliError } from "./cli-error.ts";
import type { Cli } from "./command.ts";
import { describeError, type ErrorReport, errorToJson } from "./error-report.ts";
import { EXIT, type ExitCode } from "./exit-codes.ts";
import { findMesh, type MeshFlags } from "./mesh/find-mesh.ts";
import { createMesh } from "./mesh/mesh.ts";
import { createOutput } from "./output/output.ts";
import { parseCommandLine } from "./parser.ts";

/** Nobody waits longer for a candidate. */
const COMPLETION_TIMEOUT_MS = 1_000;

const SAME_SIGNAL_MS = 200;

const { argv, env, stdin, stdout, stderr } = process;

/** Aborted: the command is to end. */
const abort = new AbortController();
/** Whoever read what it prints is gone. */
let isUnread = false;

/** Ctrl-C and SIGTERM end the command, which may still print what it has; a second time ends the process. */
function catchSignals(): { signal: AbortSignal; caught: () => ExitCode | undefined } {
  let caught: ExitCode | undefined;
  let caughtMs = 0;
  const on = (name: NodeJS.Signals, code: ExitCode) =>
    process.on(name, () => {
      // The terminal sends Ctrl-C to all, and npx passes it on: the same one comes twice.
      if (caught !== undefined && performance.now() - caughtMs < SAME_SIGNAL_MS) return;
      if (caught !== undefined) process.exit(caught);
      caught = code;
      caughtMs = performance.now();
      abort.abort();
    });
  on("SIGINT", EXIT.interrupted);
  on("SIGTERM", EXIT.terminated);
  return { signal: abort.signal, caught: () => caught };
}

async function run(): Promise<ExitCode> {
  if (argv[2] === "--get-yargs-completions") return printCompletions(argv.slice(3));
  const parsed = await parseCommandLine(argv.slice(2), stdout.columns);
  if (parsed.command === undefined) {
    stdout.write(parsed.text);
    return EXIT.ok;
  }
  const { signal, caught } = catchSignals();
  const cli = createCli(parsed.args as MeshFlags & { json?: boolean }, signal);
  try {
    const exitCode = await parsed.command.run(parsed.args, cli);
    return caught() ?? exitCode ?? EXIT.ok;
  } catch (error) {
    const interrupted = caught();
    if (interrupted !== undefined) return interrupted;
    if (isUnread) return EXIT.ok;
    throw error;
  }
}

function createCli(flags: MeshFlags & { json?: boolean }, signal: AbortSignal): Cli {
  const mesh = createMesh(() => findMesh(flags, env, process.cwd()), signal);
  return { mesh, out: createOutput({ json: flags.json === true, stdout, stderr }), stdin, signal };
}

async function printCompletions(words: readonly string[]): Promise<ExitCode> {
  const { complete, meshFlagsOf } = await import("./complete.ts");
  const cli = createCli(meshFlagsOf(words), AbortSignal.timeout(COMPLETION_TIMEOUT_MS));
  await complete(words, cli);
  return EXIT.ok;
}

async function explain(error: unknown): Promise<ExitCode> {
  const report = await reportOf(error);
  stderr.write(`${wantsJson(argv) ? JSON.stringify(errorToJson(report)) : describeError(report)}\n`);
  return report.exitCode;
}

async function reportOf(error: unknown): Promise<ErrorReport> {
  if (error instanceof CliError) return { lines: error.message.split("\n"), exitCode: error.exitCode };
  const { ConnectError } = await import("@connectrpc/connect");
  if (!(error instanceof ConnectError)) throw error;
  const { explainCallError } = await import("./explain-error.ts");
  return explainCallError(error);
}

/** Also where the command line makes no sense otherwise. */
function wantsJson(words: readonly string[]): boolean {
  const end = words.indexOf("--");
  return words.slice(0, end === -1 ? undefined : end).includes("--json");
}

// `chow … | head`: nobody reads any more. The command ends, and may finish what it must, such as where a push is to go on.
stdout.on("error", ({ code }: NodeJS.ErrnoException) => {
  if (code !== "EPIPE") process.exit(EXIT.failed);
  isUnread = true;
  abort.abort();
});
// What is on the side is missed by nobody.
stderr.on("error", () => {});

const exitCode = await run().catch(explain);
await new Promise((resolve) => stdout.write("", resolve));
// Whatever still connects or reads would keep the process.
process.exit(exitCode);
