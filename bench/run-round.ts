import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { auditBooks, type BookKeeper, openBooks, type Verdict, verdicts } from "@chowhound/local/books";
import type { Mesh } from "@chowhound/local/mesh";
import { cpuTimeUs, machineCpuTimeUs } from "./cpu-time.ts";
import { encodeRequests } from "./generate-records.ts";
import { createProducer, type Producer } from "./load.ts";
import { type CopyTool, exportRows, importRows } from "./psql-copy.ts";

const REAP_MS = 300;

/** What was measured of one load, or of the copy beside it. */
export interface Measurement {
  records: number;
  /** From the first send until the last record is booked; for the copy, of its statement. */
  elapsedMs: number;
  /** By process; "producer" is what sends: the load generator, or psql. Undefined where it can't be measured. */
  cpuUs: Record<string, number> | undefined;
  /** Of the whole machine in that time, other programs included. */
  machineCpuUs: number | undefined;
  /** What became of the records; none for the copy. */
  verdicts: Partial<Record<Verdict, number>>;
  /** Batches that the gateway made of them. */
  batches: number;
  /** Transactions in which the store booked those. */
  transactions: number;
  /** Calls that the producer had to send again. */
  retries: number;
}

/** One round: new records, a plain copy of the same rows, the same records again, and newer versions of them. */
export interface Round {
  fresh: Measurement;
  copy: Measurement;
  resent: Measurement;
  updates: Measurement;
}

/** The books don't close, or rows are missing. */
export class BrokenBooksError extends Error {
  override readonly name = "BrokenBooksError";
}

const WARM_UP_RECORDS = 20_000;
const WARM_UP_FIRST = 0;
const FIRST = 10_000_000;
/** Short against a load, and rare enough to cost PostgreSQL nothing that counts. */
const POLL_MS = 10;
const STANDSTILL_MS = 30_000;
/** For what follows a commit: notices to dedup, acknowledgements. */
const REST_MS = 500;

/** Runs one round on a mesh that has no records yet. */
export async function runRound(
  mesh: Mesh,
  options: { records: number; copyTool: CopyTool; dataDir: string; signal: AbortSignal },
): Promise<Round> {
  const { signal, copyTool } = options;
  const producer = createProducer(mesh.endpoints);
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

interface Bench {
  mesh: Mesh;
  producer: Producer;
  keeper: BookKeeper;
  signal: AbortSignal;
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

/** @param expected the verdicts that all records must get, in any mixture */
async function measureLoad(
  bench: Bench,
  requests: readonly Uint8Array[],
  records: number,
  expected: readonly Verdict[],
): Promise<Measurement> {
  const { mesh, producer, keeper, signal } = bench;
  await rest(keeper, signal);
  const before = await keeper.read();
  const transactionsBefore = await countTransactions(keeper);
  const machineBeforeUs = machineCpuTimeUs();
  const cpuBefore = readCpu(mesh);
  const startedMs = performance.now();
  const { accepted, rejected, retries } = await producer.send(requests, signal);
  await untilBooked(bench, before.accepted + accepted);
  const elapsedMs = performance.now() - startedMs;
  const cpuUs = spent(cpuBefore, readCpu(mesh));
  const machineCpuUs = difference(machineBeforeUs, machineCpuTimeUs());

  const after = await keeper.read();
  const problems = await auditBooks(keeper, after.accepted);
  const gained = (name: Verdict | "accepted"): number => after[name] - before[name];
  const asExpected = expected.reduce((sum, verdict) => sum + gained(verdict), 0);
  if (rejected > 0) problems.push(`${rejected} records were rejected`);
  // A call that is sent again may have been accepted in part before; then some records count twice.
  if (retries === 0 && gained("accepted") !== records)
    problems.push(`accepted in the books: ${gained("accepted")}, expected ${records}`);
  if (retries === 0 ? asExpected !== records : asExpected < records)
    problems.push(`${expected.join(" or ")}: ${asExpected}, expected ${records}`);
  if (problems.length > 0) throw new BrokenBooksError(problems.join("\n"));
  return {
    records,
    elapsedMs,
    cpuUs,
    machineCpuUs,
    verdicts: Object.fromEntries(
      verdicts.filter((verdict) => gained(verdict) > 0).map((verdict) => [verdict, gained(verdict)]),
    ),
    batches: after.invoices - before.invoices,
    transactions: (await countTransactions(keeper)) - transactionsBefore,
    retries,
  };
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

/** All invoices of a transaction have its time. */
async function countTransactions(keeper: BookKeeper): Promise<number> {
  const [found] = await keeper.query<{ n: number }>(
    "select count(distinct booked_at)::int as n from invoices",
  );
  return found!.n;
}

/** Each measurement begins on a quiet mesh, and far from the next checkpoint. */
async function rest(keeper: BookKeeper, signal: AbortSignal): Promise<void> {
  await keeper.query("checkpoint");
  await sleep(REST_MS, undefined, { signal });
}

/** Waits until so many records are booked. Throws where nothing moves any more. */
async function untilBooked({ mesh, keeper, signal }: Bench, accepted: number): Promise<void> {
  let last = -1;
  let movedMs = performance.now();
  for (;;) {
    signal.throwIfAborted();
    const [books] = await keeper.query<{ n: number }>(
      "select coalesce(sum(accepted), 0)::int as n from invoices",
    );
    const booked = books!.n;
    if (booked >= accepted) return;
    if (booked > last) {
      last = booked;
      movedMs = performance.now();
    } else if (performance.now() - movedMs > STANDSTILL_MS) {
      const gone = mesh.processes.filter(({ pid }) => pid === undefined).map(({ name }) => name);
      throw new BrokenBooksError(
        `nothing was booked for ${STANDSTILL_MS / 1000} s: ${booked} of ${accepted} accepted records are` +
          (gone.length === 0 ? "" : `; not running any more: ${gone.join(", ")}`),
      );
    }
    await sleep(POLL_MS, undefined, { signal });
  }
}

function readCpu(mesh: Mesh): Record<string, number | undefined> {
  const { user, system } = process.cpuUsage();
  const ofMesh = mesh.processes.map(({ name, pid }) => [name, pid === undefined ? 0 : cpuTimeUs(pid)]);
  return { producer: user + system, ...Object.fromEntries(ofMesh) };
}

/** By process; undefined if one of them can't be measured. */
function spent(
  before: Record<string, number | undefined>,
  after: Record<string, number | undefined>,
): Record<string, number> | undefined {
  const result: Record<string, number> = {};
  for (const name of Object.keys(before)) {
    const us = difference(before[name], after[name]);
    if (us === undefined) return undefined;
    result[name] = us;
  }
  return result;
}

function difference(before: number | undefined, after: number | undefined): number | undefined {
  return before === undefined || after === undefined ? undefined : after - before;
}
