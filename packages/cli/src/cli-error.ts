import { EXIT, type ExitCode } from "./exit-codes.ts";

/** A failure that is explained to the person at the terminal as it stands, and the exit code it ends with. */
export class CliError extends Error {
  override name = "CliError";
  readonly exitCode: ExitCode;

  /** @param message what is wrong and what to do about it; may have several lines */
  constructor(message: string, options: { exitCode?: ExitCode; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.exitCode = options.exitCode ?? EXIT.failed;
  }
}

/** The command line, or a file that it names, is wrong. */
export class UsageError extends CliError {
  override name = "UsageError";

  constructor(message: string, options: { cause?: unknown } = {}) {
    super(message, { ...options, exitCode: EXIT.usage });
  }
}
