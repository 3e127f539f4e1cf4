import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { openBooks } from "@chowhound/local/books";
import type { Mesh } from "@chowhound/local/mesh";
import { cpuTimeUs, machineCpuTimeUs } from "./cpu-time.ts";
import { encodeRequests } from "./generate-records.ts";
import { openProducer } from "./load/producer.ts";
import {
  type Bench,
  BrokenBooksError,
  difference,
  type Measurement,
  measureLoad,
  rest,
} from "./measure-load.ts";
import { type CopyTool, exportRows, importRows } from "./psql-copy.ts";

const REAP_MS = 300;

/** One round: new records, a plain copy of the same rows, the same records again, and newer versions of them. */
export interface Round {
  fresh: Measurement;
  copy: Measurement;
  resent: Measurement;
  updates: Measurement;
}

/** As the table shows them. */
export const COLUMNS = ["fresh", "resent", "updates", "copy"] as const satisfies readonly (keyof Round)[];

const WARM_UP_RECORDS = 20_000;
const WARM_UP_FIRST = 0;
const FIRST = 10_000_000;
/** Runs one round on a mesh that has no records yet. */
export async function runRound(
  mesh: Mesh,
  options: { records: number; copyTool: CopyTool; dataDir: string; signal: AbortSignal },
): Promise<Round> {
  const { signal, copyTool } = options;
  const producer = await openProducer(mesh.endpoints);
  const keeper = await openBooks(mesh.endpoints.postgresUrl);
  const bench: Bench = { mesh, producer, keeper, signal };
  try {
    const warmUp = { first: WARM_UP_FIRST, count: WARM_UP_RECORDS };
    await measureThreeLoads(bench, warmUp, async () => {});
    // The copy goes into a table that has what `records` has before the load.
    await keeper.query("create table copied (like records including all)");
    await keeper.query("insert into copied select * from records");

    let copy: Measurement | undefined;
    const loads = await measureThreeLoads(bench, { first: FIRST, count: options.records }, async () => {
      copy = await measureCopy(bench, copyTool, join(options.dataDir, "rows.copy"));
    });
    return { ...loads, copy: copy! };
  } finally {
    producer.close();
    await keeper.close();
  }
}

async function measureThreeLoads(
  bench: Bench,
  range: { first: number; count: number },
  afterFresh: () => Promise<void>,
): Promise<Omit<Round, "copy">> {
  const requests = encodeRequests({ ...range, revision: 0 });
  const fresh = await measureLoad(bench, requests, range.count, ["stored"]);
  await afterFresh();
  const resent = await measureLoad(bench, requests, range.count, ["duplicate", "unchanged"]);
  const newer = encodeRequests({ ...range, revision: 1 });
  const updates = await measureLoad(bench, newer, range.count, ["updated"]);
  return { fresh, resent, updates };
}

/** Copies the rows that the load before has landed into the table `copied`, which lacks them. */
async function measureCopy(
  { mesh, keeper, signal }: Bench,
  tool: CopyTool,
  file: string,
): Promise<Measurement> {
  const databaseUrl = mesh.endpoints.postgresUrl;
  const landed = "select * from records where data_id not in (select data_id from copied)";
  await exportRows(databaseUrl, landed, file);
  await rest(keeper, signal);
  const count = async (): Promise<number> =>
    (await keeper.query<{ n: number }>("select count(*)::int as n from copied"))[0]!.n;
  const rowsBefore = await count();
  const { pid } = mesh.process("postgres");
  const machineBeforeUs = machineCpuTimeUs();
  const cpuBeforeUs = cpuTimeUs(pid!);
  const { elapsedMs, clientCpuUs } = await importRows(tool, { databaseUrl, table: "copied", file, signal });
  // The copy's backend has ended; its time is PostgreSQL's once that has waited for it.
  await sleep(REAP_MS);
  const postgresUs = difference(cpuBeforeUs, cpuTimeUs(pid!));
  const machineCpuUs = difference(machineBeforeUs, machineCpuTimeUs());
  const records = (await count()) - rowsBefore;
  const unequal = await keeper.query(
    "(select * from records except select * from copied) union all (select * from copied except select * from records) limit 1",
  );
  if (unequal.length > 0) throw new BrokenBooksError("the copied rows are not the rows of the mesh");
  return {
    records,
    elapsedMs,
    cpuUs:
      postgresUs === undefined || clientCpuUs === undefined
        ? undefined
        : { producer: clientCpuUs, postgres: postgresUs },
    machineCpuUs,
    verdicts: {},
    batches: 0,
    transactions: 1,
    retries: 0,
  };
}
