import { Client } from "pg";
import { watchCpu, watchOwnCpu } from "../cpu-watch.ts";
import { openDataDir } from "../data-dir.ts";
import { encodeRequests } from "../generate-records.ts";
import { openProducer } from "../load/grpc-producer.ts";
import { BrokenBooksError, type Measurement, WITHOUT_BOOKS } from "../measurement.ts";
import { countRows, lastStoredMs, untilRows } from "../plain-servers.ts";
import { startNaive } from "./start-naive.ts";

const WARM_UP_RECORDS = 5_000;
const FIRST = 10_000_000;

/** Lands new records on a fresh naive mesh, from the first call until the transaction of the last row. */
export async function measureNaive({
  records,
  warmUpRecords = WARM_UP_RECORDS,
  signal,
}: {
  records: number;
  warmUpRecords?: number;
  signal: AbortSignal;
}): Promise<Measurement> {
  await using dataDir = await openDataDir();
  const naive = await startNaive(dataDir.path, signal);
  const client = new Client(naive.postgresUrl);
  const producer = await openProducer({ grpc: naive.grpc, key: "none" });
  try {
    await client.connect();
    const land = async (requests: readonly Uint8Array[], count: number): Promise<void> => {
      const rows = (await countRows(client)) + count;
      const { rejected } = await producer.send(requests, signal);
      if (rejected > 0) throw new BrokenBooksError(`${rejected} records were rejected`);
      await untilRows(client, rows, signal);
    };
    await land(encodeRequests({ first: 0, count: warmUpRecords, revision: 0 }), warmUpRecords);
    const requests = encodeRequests({ first: FIRST, count: records, revision: 0 });
    await client.query("checkpoint");
    const ownCpuUs = watchOwnCpu();
    const cpu = watchCpu(naive.pids);
    const startedMs = Date.now();
    await land(requests, records);
    const { cpuUs, ...machine } = cpu();
    const elapsedMs = (await lastStoredMs(client)) - startedMs;
    return {
      ...WITHOUT_BOOKS,
      records,
      elapsedMs,
      cpuUs: cpuUs && { producer: ownCpuUs(), ...cpuUs },
      ...machine,
    };
  } finally {
    producer.close();
    await client.end();
    await naive.stop();
  }
}
