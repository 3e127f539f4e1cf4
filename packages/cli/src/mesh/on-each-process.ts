import type { JsonObject } from "@bufbuild/protobuf";
import { ConnectError } from "@connectrpc/connect";
import type { Cli } from "../command.ts";
import { EXIT, type ExitCode } from "../exit-codes.ts";
import { explainCallError } from "../explain-error.ts";
import type { ChosenProcess } from "./choose-processes.ts";
import type { AdminProcess } from "./mesh.ts";

/** What an action made of one process: for a person, and as the answer's JSON. */
export interface ProcessOutcome {
  text: string;
  json: JsonObject;
}

/** Does something to each process at the same time, and shows what became of each. Fails with the first that failed. */
export async function onEachProcess(
  cli: Cli,
  chosen: readonly ChosenProcess[],
  action: (process: AdminProcess) => Promise<ProcessOutcome>,
): Promise<ExitCode> {
  let exitCode: ExitCode = EXIT.ok;
  const results = await Promise.all(
    chosen.map(async ({ process, service, instanceId, name }) => {
      try {
        const { text, json } = await action(process);
        return { name, text, json: { service, instanceId, address: process.address, ...json } };
      } catch (error) {
        const { lines, exitCode: failure } = explainCallError(ConnectError.from(error));
        if (exitCode === EXIT.ok) exitCode = failure;
        const problem = lines[0]!;
        return { name, text: problem, json: { service, instanceId, address: process.address, problem } };
      }
    }),
  );
  if (cli.out.json) await cli.out.document({ processes: results.map(({ json }) => json) });
  else for (const { name, text } of results) await cli.out.line(`${name}  ${text}`);
  return exitCode;
}
