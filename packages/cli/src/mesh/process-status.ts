import { enumToJson } from "@bufbuild/protobuf";
import {
  AdminService,
  type GetStatusResponse,
  ServiceState,
  ServiceStateSchema,
} from "@chowhound/shared/contracts/chowhound/v1/admin_service";
import { ConnectError } from "@connectrpc/connect";
import { explainCallError } from "../explain-error.ts";
import type { AdminProcess } from "./mesh.ts";
import type { ProcessOutcome } from "./on-each-process.ts";

/** What one process says of itself, or why it says nothing. */
export type ProcessStatus =
  | { process: AdminProcess; status: GetStatusResponse; problem?: undefined }
  | { process: AdminProcess; status?: undefined; problem: string };

const STATUS_TIMEOUT_MS = 5_000;

/** Asks every process at the same time. Never rejects. A process that is found at two addresses is there once. */
export async function readStatuses(
  processes: readonly AdminProcess[],
  { timeoutMs = STATUS_TIMEOUT_MS } = {},
): Promise<ProcessStatus[]> {
  const statuses = await Promise.all(processes.map((process) => readStatus(process, timeoutMs)));
  const seen = new Set<string>();
  return statuses.filter(({ status }) => {
    if (status === undefined) return true;
    if (seen.has(status.instanceId)) return false;
    seen.add(status.instanceId);
    return true;
  });
}

async function readStatus(process: AdminProcess, timeoutMs: number): Promise<ProcessStatus> {
  try {
    return { process, status: await process.client(AdminService).getStatus({}, { timeoutMs }) };
  } catch (error) {
    return { process, problem: explainCallError(ConnectError.from(error)).lines[0]! };
  }
}

/** How an instance is named where people read it. */
export function shortInstanceId(instanceId: string): string {
  return instanceId.slice(0, 8);
}

/** "running", "paused" and so on. */
export function stateName(state: ServiceState): string {
  const name = Object.entries(ServiceState).find(([, value]) => value === state)?.[0];
  return name?.toLowerCase() ?? `state ${state}`;
}

/** The answer to a change of state. */
export function stateOutcome({ state }: { state: ServiceState }): ProcessOutcome {
  return { text: stateName(state), json: { state: enumToJson(ServiceStateSchema, state) } };
}
