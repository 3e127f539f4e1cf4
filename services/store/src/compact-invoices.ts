import { pause } from "@chowhound/shared/runtime/backoff";
import type { Logger } from "@chowhound/shared/runtime/logger";
import { type Client, DatabaseError } from "pg";
import { EXCLUDE_BOOKING } from "./books-lock.ts";
import { type Accounts, closedThrough } from "./closed-through.ts";
import { SUM_OF_VERDICTS } from "./ledger-checks.ts";
import { VERDICTS } from "./verdict.ts";

/** Any constant: what the replica locks that compacts. */
const COMPACTOR_LOCK = 0x63686f79;
/** Invoices that one transaction folds: booking waits for it. */
const STEP_INVOICES = 2_000;
/** Dedup and the gateways ask for the batches that they have heard of last, whatever their age. */
const KEEP_NEWEST = 1_000;
/** Longer than this, booking is not held up for a step. */
const LOCK_TIMEOUT_MS = 200;
const PAUSE_MS = 20;
const LOCK_NOT_AVAILABLE = "55P03";

const SUMS = ["accepted", ...VERDICTS, "replayed", "reclaimed"];

export interface CompactOptions {
  keepMs: number;
  signal: AbortSignal;
  log: Logger;
  /** For tests. */
  stepInvoices?: number;
  keepNewest?: number;
}

/** See Ledger.compact. Each step is a transaction: cut off anywhere, the books are as before it or as after it. */
export async function compactInvoices(client: Client, options: CompactOptions): Promise<number> {
  const { signal, log } = options;
  const { rows } = await client.query<{ locked: boolean }>("select pg_try_advisory_lock($1) as locked", [
    COMPACTOR_LOCK,
  ]);
  if (rows[0]?.locked !== true) return 0;
  let compacted = 0;
  for (const epoch of await readEpochs(client)) {
    while (!signal.aborted) {
      const step = await planStep(client, epoch, options);
      if (step.through === step.from) break;
      const folded = await fold(client, epoch, step);
      if (folded === undefined) {
        // Booking was busy; the next round goes on here.
        log.debug({ epoch }, "compacting was put off");
        break;
      }
      compacted += folded;
      await pause(PAUSE_MS, signal);
    }
  }
  return compacted;
}

/** Without a look at every invoice. */
async function readEpochs(client: Client): Promise<string[]> {
  const { rows } = await client.query<{ epoch: string }>(`
    with recursive epochs as (
      (select epoch from invoices where epoch > 0 order by epoch limit 1)
      union all
      select (select i.epoch from invoices i where i.epoch > e.epoch order by i.epoch limit 1)
      from epochs e where e.epoch is not null)
    select epoch from epochs where epoch is not null`);
  return rows.map(({ epoch }) => epoch);
}

interface Step {
  from: bigint;
  through: bigint;
  invoices: number;
}

async function planStep(
  client: Client,
  epoch: string,
  { keepMs, stepInvoices = STEP_INVOICES, keepNewest = KEEP_NEWEST }: CompactOptions,
): Promise<Step> {
  const { rows } = await client.query<{ from: string; limit: string }>(
    `select coalesce((select through_seq from compacted_invoices where epoch = $1), 0) as from,
       coalesce((select max(raw_seq) from invoices where epoch = $1), 0) - $2::bigint as limit`,
    [epoch, keepNewest],
  );
  const from = BigInt(rows[0]!.from);
  const limit = BigInt(rows[0]!.limit);
  const booked = await client.query<{ number: string; closed: boolean; invoices: number }>(
    `select raw_seq as number, count(*)::int as invoices,
       bool_and(accepted = ${SUM_OF_VERDICTS} and greatest(booked_at, accepted_at) < now() - $4 * interval '1 ms') as closed
     from invoices where epoch = $1 and raw_seq > $2 and raw_seq <= $3
     group by raw_seq order by raw_seq limit ${stepInvoices}`,
    [epoch, from, limit, keepMs],
  );
  // Not beyond the invoices that were looked at.
  const isFull = booked.rows.length === stepInvoices;
  const values = [epoch, from, isFull ? booked.rows.at(-1)!.number : limit];
  const repeated = await client.query<{ number: string }>(
    `select raw_seq as number from invoice_repeats where epoch = $1 and raw_seq > $2 and raw_seq <= $3
     order by raw_seq limit ${stepInvoices}`,
    values,
  );
  const writeOffs = await client.query<{ reason: string; first: string; last: string }>(
    `select reason, first_seq as first, least(last_seq, $3) as last from audit_write_offs
     where epoch = $1 and last_seq > $2 and first_seq <= $3`,
    values,
  );
  const ranges = (wanted: string): { first: bigint; last: bigint }[] =>
    writeOffs.rows
      .filter(({ reason }) => reason === wanted)
      .map(({ first, last }) => ({ first: BigInt(first), last: BigInt(last) }));
  const accounts: Accounts = {
    booked: booked.rows.map(({ number, closed, invoices }) => ({
      number: BigInt(number),
      isClosed: closed,
      invoices,
    })),
    repeated: new Set(repeated.rows.map(({ number }) => BigInt(number))),
    missing: ranges("number_missing"),
    reused: ranges("number_reused"),
  };
  return { from, ...closedThrough(from, accounts) };
}

/** Returns how many invoices were folded; undefined where booking was busy, or the books have changed since the plan. */
async function fold(client: Client, epoch: string, step: Step): Promise<number | undefined> {
  const sum = (name: string): string =>
    name === "replayed" ? "sum(accepted) filter (where replay_of is not null)" : `sum(${name})`;
  await client.query(`begin; set local lock_timeout = ${LOCK_TIMEOUT_MS}`);
  try {
    await client.query(EXCLUDE_BOOKING);
    const { rows } = await client.query<{ folded: number }>(
      `with folded as (
         delete from invoices where epoch = $1 and raw_seq > $2 and raw_seq <= $3
         returning accepted_at, replay_of, ${["accepted", ...VERDICTS, "reclaimed"].join(", ")})
       insert into compacted_invoices as c (epoch, through_seq, through_accepted_at, invoices, ${SUMS.join(", ")})
       select $1, $3, coalesce(max(accepted_at), '-infinity'), count(*),
         ${SUMS.map((name) => `coalesce(${sum(name)}, 0)`).join(", ")} from folded
       having count(*) = $4 and count(*) filter (where accepted <> ${SUM_OF_VERDICTS}) = 0
       on conflict (epoch) do update set through_seq = excluded.through_seq,
         through_accepted_at = greatest(c.through_accepted_at, excluded.through_accepted_at),
         invoices = c.invoices + excluded.invoices, compacted_at = now(),
         ${SUMS.map((name) => `${name} = c.${name} + excluded.${name}`).join(", ")}
       where c.through_seq = $2
       returning 1`,
      [epoch, step.from, step.through, step.invoices],
    );
    await client.query(rows.length === 1 ? "commit" : "rollback");
    return rows.length === 1 ? step.invoices : undefined;
  } catch (error) {
    await client.query("rollback").catch(() => {});
    if (error instanceof DatabaseError && error.code === LOCK_NOT_AVAILABLE) return undefined;
    throw error;
  }
}
