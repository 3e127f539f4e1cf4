import { openBooks } from "@chowhound/local/books";
import type { Mesh } from "@chowhound/local/mesh";
import { encodeRequests } from "./generate-records.ts";
import { openProducer, type Producer } from "./load/producer.ts";
import { type Measurement, measureLoad } from "./measure-load.ts";

/** New records in calls of 500; as many in calls of one, on one connection and on one for each client. */
export type CallsRound = Record<(typeof CALLS_COLUMNS)[number], Measurement>;
export const CALLS_COLUMNS = ["batched", "shared", "single"] as const;

/** Of the single calls: each has one call under way. */
const CLIENTS = 64;
const WARM_UP_RECORDS = 20_000;
const FIRST = 10_000_000;

/** Runs one round on a mesh that has no records yet. */
export async function runCallsRound(
  mesh: Mesh,
  { records, signal }: { records: number; signal: AbortSignal },
): Promise<CallsRound> {
  const keeper = await openBooks(mesh.endpoints.postgresUrl);
  const land = async (producer: Producer, first: number, count: number, callRecords?: number) => {
    const requests = encodeRequests({ first, count, revision: 0 }, callRecords);
    return await measureLoad({ mesh, producer, keeper, signal }, requests, count, ["stored"]);
  };
  const producer = await openProducer(mesh.endpoints);
  const shared = await openProducer({ ...mesh.endpoints, callsInFlight: CLIENTS });
  const crowd = await openProducer({ ...mesh.endpoints, callsInFlight: CLIENTS, connections: CLIENTS });
  try {
    await land(producer, 0, WARM_UP_RECORDS);
    const batched = await land(producer, FIRST, records);
    await land(shared, WARM_UP_RECORDS, WARM_UP_RECORDS, 1);
    const onOne = await land(shared, FIRST + records, records, 1);
    const single = await land(crowd, FIRST + 2 * records, records, 1);
    return { batched, shared: onOne, single };
  } finally {
    for (const { close } of [producer, shared, crowd]) close();
    await keeper.close();
  }
}
