import { setTimeout as sleep } from "node:timers/promises";
import { auditBooks } from "@chowhound/local/audit";
import { type BookKeeper, type Verdict, verdicts } from "@chowhound/local/books";
import type { Mesh } from "@chowhound/local/mesh";
import { watchCpu, watchOwnCpu } from "./cpu-watch.ts";
import type { Producer } from "./load/producer.ts";
import { BrokenBooksError, type Measurement } from "./measurement.ts";

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
  const ownCpuUs = watchOwnCpu();
  const cpu = watchCpu(pidsOf(bench));
  const startedMs = performance.now();
  const { accepted, rejected, retries } = await producer.send(requests, signal);
  await untilBooked(bench, before.accepted + accepted);
  const elapsedMs = performance.now() - startedMs;
  const { cpuUs, ...machine } = cpu();
  const producerUs = ownCpuUs();

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
    requestBytes: requests.reduce((sum, { length }) => sum + length, 0),
    elapsedMs,
    cpuUs: cpuUs && { producer: producerUs, ...cpuUs },
    ...machine,
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
export async function untilBooked(
  { mesh, keeper, signal }: Pick<Bench, "mesh" | "keeper" | "signal">,
  accepted: number,
): Promise<void> {
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

export function pidsOf({ mesh, others }: Pick<Bench, "mesh" | "others">): Record<string, number | undefined> {
  return { ...Object.fromEntries(mesh.processes.map(({ name, pid }) => [name, pid])), ...others };
}
