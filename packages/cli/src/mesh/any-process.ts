import { ConnectError } from "@connectrpc/connect";
import { CliError } from "../cli-error.ts";
import { EXIT } from "../exit-codes.ts";
import { explainCallError } from "../explain-error.ts";
import type { AdminProcess } from "./mesh.ts";

/**
 * Calls the first of the replicas that answers: any of them will do.
 *
 * @throws {ConnectError} what the one that answered says @throws {CliError} where none can be reached
 */
export async function callAnyProcess<T>(
  processes: readonly AdminProcess[],
  call: (process: AdminProcess) => Promise<T>,
): Promise<T> {
  const problems: string[] = [];
  for (const process of processes) {
    try {
      return await call(process);
    } catch (reason) {
      if (!(reason instanceof ConnectError)) throw reason;
      const { lines, exitCode } = explainCallError(reason);
      if (exitCode !== EXIT.unavailable || processes.length === 1) throw reason;
      problems.push(lines[0]!);
    }
  }
  throw new CliError(problems.join("\n"), { exitCode: EXIT.unavailable });
}
