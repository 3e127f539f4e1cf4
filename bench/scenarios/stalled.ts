import { setTimeout as sleep } from "node:timers/promises";
import { auditMesh, problemsOf } from "@chowhound/local/audit";
import type { Mesh } from "@chowhound/local/mesh";
import { SERVICES } from "@chowhound/local/mesh-service";
import { AuditVerdict } from "@chowhound/shared/contracts/chowhound/v1/audit_service";
import { Client } from "pg";
import { encodeRequests } from "../generate-records.ts";
import { openIngest } from "../load/grpc-producer.ts";
import { ingestUntilTaken, type Receipts } from "../load/producer.ts";
import { BrokenBooksError } from "../measurement.ts";
import { type MemorySample, watchMemory } from "../memory-watch.ts";
import { memoryTable, type Stretch } from "../report/memory-table.ts";
import type { Scenario, ScenarioContext } from "../scenario.ts";
import { withMesh } from "../with-mesh.ts";

const SECONDS = { full: 60, quick: 5 };
const STREAM_MIB = { full: 256, quick: 32 };
/** Sent round and round: what isn't committed yet is no duplicate. */
const RECORDS = 50_000;
const CALLS_IN_FLIGHT = 32;
const SAMPLE_MS = 250;
/** Nothing accepted for so long: the streams are full, and so is every service. */
const FULL_MS = 3_000;
const CHART = "Resident memory with full streams and a stalled database, MiB";
const DRAIN_MS = 600_000;

export const stalled: Scenario = {
  name: "stalled",
  isUsual: false,
  about: `the table is locked so that the store can write nothing; producers go on until all streams (256 MiB each) are full and
everything is refused, and for another minute: resident memory of the services. Then the lock goes, all lands, and
the books are audited`,
  run: async (context) => {
    const { quick, signal, profileDir } = context;
    const mebibytes = quick ? STREAM_MIB.quick : STREAM_MIB.full;
    const env = { CHOWHOUND_STREAM_MAX_BYTES: `${mebibytes}MiB` };
    const options = { profileDir, label: "stalled", env, signal };
    const { samples, stretches } = await withMesh(options, (mesh) => stall(mesh, context));
    return { tables: [memoryTable(samples, { name: "memory", stretches })], rounds: [samples] };
  },
};

async function stall(
  mesh: Mesh,
  { quick, signal, log, seconds = quick ? SECONDS.quick : SECONDS.full }: ScenarioContext,
): Promise<{ samples: readonly MemorySample[]; stretches: Stretch[] }> {
  const { endpoints } = mesh;
  const { ingest, close } = await openIngest({ grpc: endpoints.grpc, keys: [endpoints.key] });
  const pids = Object.fromEntries([...SERVICES, "nats"].map((name) => [name, mesh.process(name).pid]));
  const requests = encodeRequests({ first: 0, count: RECORDS, revision: 0 });
  const lock = new Client(endpoints.postgresUrl);
  await lock.connect();
  await lock.query("begin; lock table records in access exclusive mode");
  const memory = watchMemory(pids, SAMPLE_MS);
  const startedMs = performance.now();
  const sinceStart = (): number => performance.now() - startedMs;
  const enough = new AbortController();
  const receipts: Receipts = { accepted: 0, rejected: 0, retries: 0 };
  const producers = Array.from({ length: CALLS_IN_FLIGHT }, async (_, lane) => {
    for (let i = lane; !enough.signal.aborted; i += CALLS_IN_FLIGHT)
      await ingestUntilTaken(ingest, requests[i % requests.length]!, receipts, enough.signal);
  });
  const producing = Promise.allSettled(producers);
  try {
    let fullMs = 0;
    for (let last = -1, movedMs = sinceStart(); sinceStart() - movedMs < FULL_MS; ) {
      if (receipts.accepted > last) [last, movedMs] = [receipts.accepted, sinceStart()];
      fullMs = sinceStart();
      await sleep(SAMPLE_MS, undefined, { signal });
    }
    log(`full after ${receipts.accepted.toLocaleString("en")} records; then ${seconds} s of refusals`);
    await sleep(seconds * 1000, undefined, { signal });
    const refusedMs = sinceStart();
    enough.abort(new Error("enough"));
    await producing;
    await lock.query("rollback");
    await drainAndAudit(mesh, signal);
    memory.stop();
    const stretches = [
      { title: "while the streams filled", fromMs: 0, toMs: fullMs },
      { title: "while they were full", fromMs: fullMs, toMs: refusedMs, chart: CHART },
      { title: "while they drained", fromMs: refusedMs, toMs: sinceStart() },
    ];
    return { samples: memory.samples, stretches };
  } finally {
    memory.stop();
    enough.abort(new Error("enough"));
    close();
    await lock.end();
  }
}

/** Until all that was accepted is booked. What the producers were told is no measure: some calls were given up. */
async function drainAndAudit(mesh: Mesh, signal: AbortSignal): Promise<void> {
  const deadlineMs = performance.now() + DRAIN_MS;
  for (;;) {
    signal.throwIfAborted();
    const report = await auditMesh(mesh.endpoints.admin.store!);
    if (report.verdict === AuditVerdict.STALLED && performance.now() < deadlineMs) continue;
    const problems = problemsOf(report, Number(report.total?.accepted));
    if (problems.length > 0) throw new BrokenBooksError(problems.join("\n"));
    return;
  }
}
