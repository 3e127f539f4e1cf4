import { openBooks } from "@chowhound/local/books";
import type { Mesh } from "@chowhound/local/mesh";
import { encodeRequests } from "./generate-records.ts";
import { createProducer, type Producer } from "./load.ts";
import { type Measurement, measureLoad } from "./measure-load.ts";

/** New records in calls of 500, and as many in calls of one. */
export type CallsRound = Record<(typeof CALLS_COLUMNS)[number], Measurement>;
export const CALLS_COLUMNS = ["batched", "single"] as const;

/** Of the single calls: each has a connection of its own, and one call under way. */
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
  const producer = createProducer(mesh.endpoints);
  const crowd = createCrowd(mesh);
  try {
    await land(producer, 0, WARM_UP_RECORDS);
    const batched = await land(producer, FIRST, records);
    await land(crowd, WARM_UP_RECORDS, WARM_UP_RECORDS, 1);
    const single = await land(crowd, FIRST + records, records, 1);
    return { batched, single };
  } finally {
    producer.close();
    crowd.close();
    await keeper.close();
  }
}

/** Many producers that share the requests of a load. */
function createCrowd(mesh: Mesh): Producer {
  const clients = Array.from({ length: CLIENTS }, () =>
    createProducer({ ...mesh.endpoints, callsInFlight: 1 }),
  );
  return {
    send: async (requests, signal) => {
      const shares = clients.map((_, client) => requests.filter((_, call) => call % CLIENTS === client));
      const receipts = await Promise.all(clients.map((client, i) => client.send(shares[i]!, signal)));
      return receipts.reduce((sum, { accepted, rejected, retries }) => ({
        accepted: sum.accepted + accepted,
        rejected: sum.rejected + rejected,
        retries: sum.retries + retries,
      }));
    },
    close: () => {
      for (const client of clients) client.close();
    },
  };
}
