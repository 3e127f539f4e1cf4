import type { Mesh } from "@chowhound/local/mesh";
import { cpuTimeUs, machineCpuTimeUs } from "./cpu-time.ts";
import { encodeRequests } from "./generate-records.ts";
import { createProducer } from "./load.ts";

/** What calls of one record each cost. */
export interface SingleCalls {
  calls: number;
  elapsedMs: number;
  /** Microseconds of CPU per call by process, until the last receipt; "producer" is the load generator. */
  cpuPerCallUs: Record<string, number>;
  /** Of the whole machine, other programs included. */
  machineCpuPerCallUs: number;
}

/** Clients, each with a connection of its own and one call under way. */
const CLIENTS = 64;
const WARM_UP_CALLS = 10_000;
const FIRST = 50_000_000;

/** Sends records one by one from many clients, to a mesh that has nothing else to do. */
export async function measureSingleCalls(
  mesh: Mesh,
  calls: number,
  signal: AbortSignal,
): Promise<SingleCalls> {
  const producers = Array.from({ length: CLIENTS }, () =>
    createProducer({ ...mesh.endpoints, callsInFlight: 1 }),
  );
  const send = async (first: number, count: number): Promise<void> => {
    const requests = encodeRequests({ first, count, revision: 0 }, 1);
    const share = Math.ceil(count / CLIENTS);
    await Promise.all(
      producers.map((producer, i) => producer.send(requests.slice(i * share, (i + 1) * share), signal)),
    );
  };
  const readCpu = (): Record<string, number> => {
    const { user, system } = process.cpuUsage();
    const ofMesh = mesh.processes.map(({ name, pid }) => [
      name,
      pid === undefined ? 0 : (cpuTimeUs(pid) ?? 0),
    ]);
    return { producer: user + system, ...Object.fromEntries(ofMesh) };
  };
  try {
    await send(FIRST, WARM_UP_CALLS);
    const machineBeforeUs = machineCpuTimeUs() ?? 0;
    const before = readCpu();
    const startedMs = performance.now();
    await send(FIRST + WARM_UP_CALLS, calls);
    const elapsedMs = performance.now() - startedMs;
    const after = readCpu();
    return {
      calls,
      elapsedMs,
      cpuPerCallUs: Object.fromEntries(
        Object.entries(after).map(([name, us]) => [name, (us - before[name]!) / calls]),
      ),
      machineCpuPerCallUs: ((machineCpuTimeUs() ?? 0) - machineBeforeUs) / calls,
    };
  } finally {
    for (const producer of producers) producer.close();
  }
}
