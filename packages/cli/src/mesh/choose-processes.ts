import type { Argv } from "yargs";
import { CliError, UsageError } from "../cli-error.ts";
import { EXIT } from "../exit-codes.ts";
import type { AdminProcess, Mesh } from "./mesh.ts";
import { readStatuses, shortInstanceId } from "./process-status.ts";

/** A process that answers. */
export interface ChosenProcess {
  process: AdminProcess;
  service: string;
  instanceId: string;
  /** "store/1f0c2b7e": names just this one. */
  name: string;
}

/** Declares the argument that `chooseProcesses` takes. */
export function targetArgument<T>(yargs: Argv<T>) {
  return yargs.positional("target", {
    type: "string",
    demandOption: true,
    describe: "SERVICE for all its processes, or SERVICE/INSTANCE for one, as in chow status",
  });
}

/**
 * The processes that "SERVICE" (every replica) or "SERVICE/INSTANCE" (one, by the beginning of its id) names.
 *
 * @throws {UsageError} where no instance, or more than one, has that id @throws {CliError} where one doesn't answer
 */
export async function chooseProcesses(mesh: Mesh, target: string): Promise<ChosenProcess[]> {
  const [service = "", instance] = target.split("/");
  const statuses = await readStatuses(await mesh.processes([service]));
  const answering = statuses.flatMap(({ process, status }) =>
    status === undefined ? [] : [toChosen(process, status.instanceId)],
  );
  const silent = statuses.find(({ problem }) => problem !== undefined);
  const chosen = answering.filter(({ instanceId }) => instanceId.startsWith(instance ?? ""));
  if (silent !== undefined && (instance === undefined || chosen.length === 0))
    throw new CliError(`${service}: ${silent.problem}`, { exitCode: EXIT.unavailable });
  if (instance === undefined || chosen.length === 1) return chosen;
  throw new UsageError(
    `${target} names ${chosen.length === 0 ? "no process" : "more than one process"}; ` +
      `there are ${answering.map(({ name }) => name).join(", ")}`,
  );
}

function toChosen(process: AdminProcess, instanceId: string): ChosenProcess {
  const { service } = process;
  return { process, service, instanceId, name: `${service}/${shortInstanceId(instanceId)}` };
}
