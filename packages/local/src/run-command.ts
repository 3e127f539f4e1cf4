import { type ExecFileOptions, execFile } from "node:child_process";
import { access, constants } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { promisify } from "node:util";

const execute = promisify(execFile);

/** A command could not be run, or failed; the message is one line and ends with the last thing it said. */
export class CommandError extends Error {
  override readonly name = "CommandError";
}

/**
 * Runs a command to its end and returns what it wrote to standard output.
 *
 * @throws {CommandError}
 */
export async function runCommand(
  command: string,
  args: readonly string[],
  options: Pick<ExecFileOptions, "cwd" | "env" | "uid" | "gid" | "timeout" | "signal"> = {},
): Promise<string> {
  try {
    const { stdout } = await execute(command, args, { ...options, encoding: "utf8", maxBuffer: 16 << 20 });
    return stdout;
  } catch (cause) {
    const { code, killed, message, stderr } = cause as Error & {
      code?: unknown;
      killed?: boolean;
      stderr?: string;
    };
    if (code === "ENOENT") throw new CommandError(`there is no ${command} on PATH`, { cause });
    const said = stderr?.trim().split("\n").at(-1) || message;
    throw new CommandError(killed ? `${command} took too long` : `${command}: ${said}`, { cause });
  }
}

/** The first executable of that name on PATH. */
export async function findOnPath(command: string, path: string | undefined): Promise<string | undefined> {
  const name = process.platform === "win32" ? `${command}.exe` : command;
  for (const directory of (path ?? "").split(delimiter)) {
    if (directory === "") continue;
    const candidate = join(directory, name);
    try {
      await access(candidate, constants.X_OK);
      return candidate;
    } catch {
      // not here
    }
  }
  return undefined;
}
