import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { auditBooks } from "@chowhound/local/audit";
import { openBooks } from "@chowhound/local/books";
import type { Mesh } from "@chowhound/local/mesh";
import { SERVICES } from "@chowhound/local/mesh-service";
import { benchRecord, CALL_RECORDS, encodeCalls } from "../generate-records.ts";
import { openIngest } from "../load/grpc-producer.ts";
import { sendOnSchedule } from "../load/send-on-schedule.ts";
import { untilBooked } from "../measure-load.ts";
import { BrokenBooksError } from "../measurement.ts";
import { type MemorySample, watchMemory } from "../memory-watch.ts";
import { memoryTable, quarters } from "../report/memory-table.ts";
import type { Scenario } from "../scenario.ts";
import { withMesh } from "../with-mesh.ts";

const SECONDS = { full: 3600, quick: 20 };
/** 5,000 records a second: well below what the mesh takes, so that nothing but time goes by. */
const CALLS_PER_SECOND = 10;
const SAMPLES = 720;
const MIN_SAMPLE_MS = 250;
/** Of five calls one brings new keys, three bring updates of any of them, one is the call before once more. */
const CYCLE = 5;

export const soak: Scenario = {
  name: "soak",
  isUsual: false,
  about: `5,000 records a second for an hour (--minutes): a fifth new, three fifths updates, a fifth resent; resident memory of
the services by quarters of that time. Then the books are audited`,
  run: async ({ quick, profileDir, signal, seconds = quick ? SECONDS.quick : SECONDS.full }) => {
    const samples = await withMesh({ profileDir, label: "soak", signal }, (mesh) =>
      runSoak(mesh, seconds, signal),
    );
    const stretches = quarters(seconds * 1000, "Resident memory in the last quarter, MiB");
    return { tables: [memoryTable(samples, { name: "memory", stretches })], rounds: [samples] };
  },
};

async function runSoak(mesh: Mesh, seconds: number, signal: AbortSignal): Promise<readonly MemorySample[]> {
  const { endpoints } = mesh;
  const keeper = await openBooks(endpoints.postgresUrl);
  const { ingest, close } = await openIngest({ grpc: endpoints.grpc, keys: [endpoints.key] });
  const pids = Object.fromEntries([...SERVICES, "nats"].map((name) => [name, mesh.process(name).pid]));
  const memory = watchMemory(pids, Math.max(MIN_SAMPLE_MS, (seconds * 1000) / SAMPLES));
  try {
    const requests = mixedRequests(seconds * CALLS_PER_SECOND);
    const { receipts } = await sendOnSchedule(ingest, requests, { callsPerSecond: CALLS_PER_SECOND, signal });
    memory.stop();
    await untilBooked({ mesh, keeper, signal }, receipts.accepted);
    const { accepted } = await keeper.read();
    const problems = await auditBooks(endpoints.admin.store!, accepted);
    if (receipts.rejected > 0) problems.push(`${receipts.rejected} records were rejected`);
    if (problems.length > 0) throw new BrokenBooksError(problems.join("\n"));
    return memory.samples;
  } finally {
    memory.stop();
    close();
    await keeper.close();
  }
}

function* mixedRequests(calls: number): Generator<Uint8Array> {
  let keys = 0;
  let last: Uint8Array | undefined;
  for (let call = 0; call < calls; call++) {
    if (call % CYCLE === CYCLE - 1) {
      yield last!;
      continue;
    }
    const isNew = call % CYCLE === 0;
    // Any block of those there are, far from the last one.
    const first = isNew ? keys : ((call * 7919) % (keys / CALL_RECORDS)) * CALL_RECORDS;
    if (isNew) keys += CALL_RECORDS;
    const updatedAt = timestampFromMs(Date.now());
    const records = Array.from({ length: CALL_RECORDS }, (_, i) => {
      const record = benchRecord(first + i, 0);
      return { ...record, data: `Call ${call}. ${record.data}`, updatedAt };
    });
    last = encodeCalls(records, CALL_RECORDS)[0]!;
    yield last;
  }
}
