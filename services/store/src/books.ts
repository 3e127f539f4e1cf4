import { isReplay } from "@chowhound/shared/batch/batch-columns";
import type { RecordBatch } from "@chowhound/shared/contracts/chowhound/internal/v1/record_batch";
import type { Client } from "pg";
import type { GroupFates } from "./group-fates.ts";
import { bookTotals, type Source, SourceTotals } from "./source-totals.ts";
import { noVerdicts, sumVerdicts, VERDICTS, type Verdict, type VerdictCounts } from "./verdict.ts";

/** What a batch came to does not add up to what was accepted. A bug, never a matter of the records. */
export class UnbalancedError extends Error {
  override name = "UnbalancedError";
}

interface InvoiceCounts {
  verdicts: VerdictCounts;
  /** Dead letters that it took off the open ones. */
  reclaimed: number;
}

/** The counts of a group of batches: per batch and per source, ready to be booked. */
export class GroupCounts {
  readonly invoices = new Map<RecordBatch, InvoiceCounts>();
  readonly totals = new SourceTotals();

  constructor(batches: readonly RecordBatch[]) {
    for (const batch of batches) {
      this.invoices.set(batch, { verdicts: noVerdicts(), reclaimed: 0 });
      for (const { tenantId, sourceType, sourceId, count } of batch.dropped)
        this.add(batch, { tenantId, sourceType, sourceId }, "duplicate", count);
    }
  }

  add(batch: RecordBatch, source: Source, verdict: Verdict, count = 1): void {
    this.invoices.get(batch)!.verdicts[verdict] += count;
    const total = this.totals.of(source, batch.acceptedAtUs);
    total.accepted += count;
    total[verdict] += count;
    if (isReplay(batch)) total.replayed += count;
  }

  /** What few records come to beside their verdict. */
  addOther(batch: RecordBatch, source: Source, { deleted = 0, reclaimed = 0 }): void {
    this.invoices.get(batch)!.reclaimed += reclaimed;
    const total = this.totals.of(source, batch.acceptedAtUs);
    total.deleted += deleted;
    total.reclaimed += reclaimed;
  }
}

/**
 * Claims batches: books an invoice without counts for each that has none. Returns for each whether it is new; the
 * others were written before, also where their invoices have been folded into sums since. Waits for other writers that
 * are claiming the same batches. The transaction was begun with BEGIN_BOOKING.
 */
export async function claimBatches(client: Client, batches: readonly RecordBatch[]): Promise<boolean[]> {
  const sorted = [...batches].sort((a, b) => Buffer.compare(a.batchId, b.batchId));
  const { rows } = await client.query<{ id: string }>({
    name: "claim",
    text: `
      insert into invoices (batch_id, epoch, raw_seq, accepted_at, accepted, replay_of)
      select * from unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::timestamptz[], $5::integer[], $6::uuid[])
        as n (batch_id, epoch, raw_seq, accepted_at, accepted, replay_of)
      where not exists (select from compacted_invoices c
        where c.epoch = n.epoch and n.raw_seq <= c.through_seq and n.accepted_at <= c.through_accepted_at)
      on conflict do nothing returning encode(uuid_send(batch_id), 'hex') as id`,
    values: [
      sorted.map(({ batchId }) => Buffer.from(batchId).toString("hex")),
      sorted.map(({ origin }) => origin?.epoch ?? 0n),
      sorted.map(({ origin }) => origin?.sequence ?? 0n),
      sorted.map(({ acceptedAtUs }) => new Date(Number(acceptedAtUs / 1000n))),
      sorted.map(({ acceptedCount }) => acceptedCount),
      sorted.map(({ replayOf }) => Buffer.from(replayOf).toString("hex") || null),
    ],
  });
  const claimed = new Set(rows.map(({ id }) => id));
  // Of two copies of one batch in a group the first is written, the second is not.
  const isNew = batches.map(({ batchId }) => claimed.delete(Buffer.from(batchId).toString("hex")));
  const copies = batches.filter((_, i) => !isNew[i]);
  if (copies.length > 0) await noteRepeats(client, copies);
  return isNew;
}

/** Notes those copies that have another number than their invoice: else that number would seem to be missing. */
async function noteRepeats(client: Client, copies: readonly RecordBatch[]): Promise<void> {
  await client.query({
    name: "note-repeats",
    text: `
      insert into invoice_repeats (epoch, raw_seq, batch_id, booked_epoch, booked_raw_seq, is_replay)
      select n.epoch, n.raw_seq, i.batch_id, i.epoch, i.raw_seq, i.replay_of is not null
      from unnest($1::uuid[], $2::bigint[], $3::bigint[]) as n (batch_id, epoch, raw_seq)
      join invoices i on i.batch_id = n.batch_id and (i.epoch, i.raw_seq) <> (n.epoch, n.raw_seq)
      on conflict do nothing`,
    values: [
      copies.map(({ batchId }) => Buffer.from(batchId).toString("hex")),
      copies.map(({ origin }) => origin?.epoch ?? 0n),
      copies.map(({ origin }) => origin?.sequence ?? 0n),
    ],
  });
}

/**
 * Books the counts and what became of each record: completes the invoices and adds to the totals. The last thing in a
 * transaction, since writers meet on the totals. Throws UnbalancedError where the verdicts of a batch are not as many as
 * its accepted records.
 */
export async function bookCounts(
  client: Client,
  counts: GroupCounts,
  fates: GroupFates,
  lane: number,
): Promise<void> {
  for (const [batch, { verdicts }] of counts.invoices) {
    const sum = sumVerdicts(verdicts);
    if (sum !== batch.acceptedCount)
      throw new UnbalancedError(`${sum} verdicts for ${batch.acceptedCount} accepted records`);
  }
  const invoices = [...counts.invoices];
  const details = invoices.map(([batch]) => fates.encode(batch));
  await client.query({
    name: "book-invoices",
    text: `
      update invoices set reclaimed = counts.reclaimed, detail = substring($3::bytea from detail_from for detail_bytes),
        ${VERDICTS.map((verdict) => `${verdict} = counts.${verdict}`).join(", ")}
      from unnest($1::uuid[], $2::integer[], $4::integer[], $5::integer[],
        ${VERDICTS.map((_, i) => `$${i + 6}::integer[]`).join(", ")})
        as counts (batch_id, reclaimed, detail_from, detail_bytes, ${VERDICTS.join(", ")})
      where invoices.batch_id = counts.batch_id`,
    values: [
      invoices.map(([batch]) => Buffer.from(batch.batchId).toString("hex")),
      invoices.map(([, { reclaimed }]) => reclaimed),
      // Together: as an array they would travel as hexadecimal text.
      Buffer.concat(details),
      startsOf(details),
      details.map(({ length }) => length),
      ...VERDICTS.map((verdict) => invoices.map(([, { verdicts }]) => verdicts[verdict])),
    ],
  });
  await bookTotals(client, counts.totals, lane);
}

/** Where each part begins when they stand one behind the other, counted from 1. */
function startsOf(parts: readonly Uint8Array[]): number[] {
  let next = 1;
  return parts.map(({ length }) => {
    next += length;
    return next - length;
  });
}
