import { setTimeout as sleep } from "node:timers/promises";
import { auditBooks } from "@chowhound/local/audit";
import { type BookKeeper, type Verdict, verdicts } from "@chowhound/local/books";
import type { Mesh } from "@chowhound/local/mesh";
import { cpuTimeUs, machineCpuTimeUs } from "./cpu-time.ts";
import type { Producer } from "./load/producer.ts";

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

/** The books don't close, or rows are missing. */
export class BrokenBooksError extends Error {
  override readonly name = "BrokenBooksError";
}

/** Short against a load, and rare enough to cost PostgreSQL nothing that counts. */
const POLL_MS = 10;
const STANDSTILL_MS = 30_000;
/** For what follows a commit: notices to dedup, acknowledgements. */
const REST_MS = 500;

/** What a load is measured with. */
export interface Bench {
  mesh: Mesh;
  producer: Producer;
  keeper: BookKeeper;
  signal: AbortSignal;
  /** Further processes whose CPU time counts, by name. */
  others?: Readonly<Record<string, number>>;
}

/**
 * Sends a load and waits until all of it is booked, then audits the books.
 *
 * @param expected the verdicts that all records must get, in any mixture
 */
export async function measureLoad(
  bench: Bench,
  requests: readonly Uint8Array[],
  records: number,
  expected: readonly Verdict[],
): Promise<Measurement> {
  const { producer, keeper, signal } = bench;
  await rest(keeper, signal);
  const before = await keeper.read();
  const transactionsBefore = await countTransactions(keeper);
  const machineBeforeUs = machineCpuTimeUs();
  const cpuBefore = readCpu(bench);
  const startedMs = performance.now();
  const { accepted, rejected, retries } = await producer.send(requests, signal);
  await untilBooked(bench, before.accepted + accepted);
  const elapsedMs = performance.now() - startedMs;
  const cpuUs = spent(cpuBefore, readCpu(bench));
  const machineCpuUs = difference(machineBeforeUs, machineCpuTimeUs());

  const after = await keeper.read();
  const problems = await auditBooks(bench.mesh.endpoints.admin.store!, after.accepted - after.replayed);
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

/** All invoices of a transaction have its time. */
async function countTransactions(keeper: BookKeeper): Promise<number> {
  const [found] = await keeper.query<{ n: number }>(
    "select count(distinct booked_at)::int as n from invoices",
  );
  return found!.n;
}

/** Each measurement begins on a quiet mesh, and far from the next checkpoint. */
export async function rest(keeper: BookKeeper, signal: AbortSignal): Promise<void> {
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
      "select coalesce(sum(accepted), 0)::int as n from totals",
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

function readCpu({ mesh, others = {} }: Bench): Record<string, number | undefined> {
  const { user, system } = process.cpuUsage();
  const ofMesh = mesh.processes.map(({ name, pid }) => [name, pid === undefined ? 0 : cpuTimeUs(pid)]);
  const ofOthers = Object.entries(others).map(([name, pid]) => [name, cpuTimeUs(pid)]);
  return { producer: user + system, ...Object.fromEntries([...ofMesh, ...ofOthers]) };
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

export function difference(before: number | undefined, after: number | undefined): number | undefined {
  return before === undefined || after === undefined ? undefined : after - before;
}
