import type { Readable } from "node:stream";
import type { ArgumentsCamelCase, Argv } from "yargs";
import type { ExitCode } from "./exit-codes.ts";
import type { Mesh } from "./mesh/mesh.ts";
import type { Output } from "./output/output.ts";

/** What every command has to work with. */
export interface Cli {
  /** The mesh that the flags, the environment or a file name. Nothing is looked up before it is used. */
  mesh: Mesh;
  /** Where results and notes go. */
  out: Output;
  /** What was piped in. */
  stdin: Readable & { isTTY?: boolean };
  /** Aborted by Ctrl-C and SIGTERM. A command that is aborted finishes its output and returns. */
  signal: AbortSignal;
}

/** One command. Its name, arguments and summary are in commands.ts. */
export interface Command<Options = unknown> {
  /** Declares arguments and options. */
  options(yargs: Argv): Argv<Options>;
  /** Command lines that show how it is used, each with what it does. */
  examples: readonly (readonly [commandLine: string, explanation: string])[];
  /** Does it. Without an exit code: 0. Throws CliError, UsageError or ConnectError: they are explained. */
  run(args: ArgumentsCamelCase<Options>, cli: Cli): Promise<ExitCode | undefined>;
  /** Candidates for the word at the cursor, given the words after the command; those of yargs are added. */
  complete?(words: readonly string[], cli: Cli): Promise<string[]>;
  /** Candidates for the value of an option such as "--reason"; none where it knows none. */
  completeOption?(option: string, cli: Cli): Promise<string[]>;
}

/** Has the compiler infer the type of `args` in `run` from `options`, and forgets it: the parser treats all commands alike. */
export function defineCommand<Options>(command: Command<Options>): Command {
  return command as unknown as Command;
}
