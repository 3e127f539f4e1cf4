import type { RecordBatch } from "@chowhound/shared/contracts/chowhound/internal/v1/record_batch";
import type { Client } from "pg";
import type { DeadRecord } from "./incoming-record.ts";
import { noVerdicts, sumVerdicts, VERDICTS, type Verdict, type VerdictCounts } from "./verdict.ts";

/** What a batch came to does not add up to what was accepted. A bug, never a matter of the records. */
export class UnbalancedError extends Error {
  override name = "UnbalancedError";
}

interface SourceTotal {
  tenantId: string;
  sourceType: string;
  sourceId: string;
  hour: Date;
  accepted: number;
  deleted: number;
  verdicts: VerdictCounts;
}

/** The counts of a group of batches: per batch and per source, ready to be booked. */
export class GroupCounts {
  readonly invoices = new Map<RecordBatch, VerdictCounts>();
  readonly #totals = new Map<string, SourceTotal>();

  constructor(batches: readonly RecordBatch[]) {
    for (const batch of batches) {
      this.invoices.set(batch, noVerdicts());
      for (const { tenantId, sourceType, sourceId, count } of batch.dropped)
        this.add(batch, { tenantId, sourceType, sourceId }, "duplicate", { count });
    }
  }

  add(
    batch: RecordBatch,
    source: { tenantId: string; sourceType: string; sourceId: string },
    verdict: Verdict,
    { count = 1, deleted = 0 }: { count?: number; deleted?: number } = {},
  ): void {
    this.invoices.get(batch)![verdict] += count;
    const hourUs = 3_600_000_000n;
    const hour = batch.acceptedAtUs / hourUs;
    const key = `${source.tenantId}\0${source.sourceType}\0${source.sourceId}\0${hour}`;
    let total = this.#totals.get(key);
    if (total === undefined) {
      const { tenantId, sourceType, sourceId } = source;
      const start = new Date(Number((hour * hourUs) / 1000n));
      total = {
        tenantId,
        sourceType,
        sourceId,
        hour: start,
        accepted: 0,
        deleted: 0,
        verdicts: noVerdicts(),
      };
      this.#totals.set(key, total);
    }
    total.accepted += count;
    total.deleted += deleted;
    total.verdicts[verdict] += count;
  }

  /** In the order in which they are locked. */
  get totals(): SourceTotal[] {
    return [...this.#totals].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, total]) => total);
  }
}

/**
 * Claims batches: books an invoice without counts for each that has none. Returns for each whether it is new; the
 * others were written before. Waits for other writers that are claiming the same batches.
 */
export async function claimBatches(client: Client, batches: readonly RecordBatch[]): Promise<boolean[]> {
  const sorted = [...batches].sort((a, b) => Buffer.compare(a.batchId, b.batchId));
  const { rows } = await client.query<{ id: string }>({
    name: "claim",
    text: `
      insert into invoices (batch_id, epoch, raw_seq, accepted_at, accepted)
      select * from unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::timestamptz[], $5::integer[])
      on conflict do nothing returning encode(uuid_send(batch_id), 'hex') as id`,
    values: [
      sorted.map(({ batchId }) => Buffer.from(batchId).toString("hex")),
      sorted.map(({ origin }) => origin?.epoch ?? 0n),
      sorted.map(({ origin }) => origin?.sequence ?? 0n),
      sorted.map(({ acceptedAtUs }) => new Date(Number(acceptedAtUs / 1000n))),
      sorted.map(({ acceptedCount }) => acceptedCount),
    ],
  });
  const claimed = new Set(rows.map(({ id }) => id));
  // Of two copies of one batch in a group the first is written, the second is not.
  return batches.map(({ batchId }) => claimed.delete(Buffer.from(batchId).toString("hex")));
}

/** Keeps dead letters, whole. */
export async function keepDeadLetters(client: Client, dead: readonly DeadRecord[]): Promise<void> {
  if (dead.length === 0) return;
  const column = <T>(pick: (record: DeadRecord) => T): T[] => dead.map(pick);
  const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");
  await client.query({
    name: "dead-letters",
    text: `
      insert into dead_letters (epoch, raw_seq, ordinal, batch_id, tenant_id, uuid, source_type, source_id, data_id,
        stage, reason, detail, pipeline_version, original, accepted_at, receipt_id, trace_id)
      select * from unnest($1::bigint[], $2::bigint[], $3::integer[], $4::uuid[], $5::text[], $6::uuid[], $7::text[],
        $8::text[], $9::text[], $10::text[], $11::text[], $12::text[], $13::bigint[], $14::bytea[],
        $15::timestamptz[], $16::uuid[], $17::text[])`,
    values: [
      column(({ batch }) => batch.origin?.epoch ?? 0n),
      column(({ batch }) => batch.origin?.sequence ?? 0n),
      column(({ ordinal }) => ordinal),
      column(({ batch }) => hex(batch.batchId)),
      column(({ call }) => call.tenantId),
      column(({ uuidBytes }) => hex(uuidBytes)),
      column(({ sourceType }) => storable(sourceType)),
      column(({ sourceId }) => storable(sourceId)),
      column(({ dataId }) => storable(dataId)),
      column(({ stage }) => stage),
      column(({ reason }) => reason),
      column(({ detail }) => storable(detail)),
      column(({ pipelineVersion }) => pipelineVersion),
      column(({ original }) => Buffer.from(original)),
      column(({ batch }) => new Date(Number(batch.acceptedAtUs / 1000n))),
      column(({ call }) => hex(call.receiptId) || null),
      column(({ call }) => call.traceparent.slice(3, 35) || null),
    ],
  });
}

/** PostgreSQL's text has no U+0000. */
function storable(text: string): string {
  return text.replaceAll("\0", "\ufffd");
}

/**
 * Books the counts: completes the invoices and adds to the totals. The last thing in a transaction, since writers
 * meet on the totals. Throws UnbalancedError where the verdicts of a batch are not as many as its accepted records.
 */
export async function bookCounts(client: Client, counts: GroupCounts, lane: number): Promise<void> {
  for (const [batch, verdicts] of counts.invoices) {
    const sum = sumVerdicts(verdicts);
    if (sum !== batch.acceptedCount)
      throw new UnbalancedError(`${sum} verdicts for ${batch.acceptedCount} accepted records`);
  }
  const invoices = [...counts.invoices];
  const totals = counts.totals;
  await client.query({
    name: "book-invoices",
    text: `
      update invoices set ${VERDICTS.map((verdict) => `${verdict} = counts.${verdict}`).join(", ")}
      from unnest($1::uuid[], ${VERDICTS.map((_, i) => `$${i + 2}::integer[]`).join(", ")})
        as counts (batch_id, ${VERDICTS.join(", ")})
      where invoices.batch_id = counts.batch_id`,
    values: [
      invoices.map(([batch]) => Buffer.from(batch.batchId).toString("hex")),
      ...VERDICTS.map((verdict) => invoices.map(([, verdicts]) => verdicts[verdict])),
    ],
  });
  const numbers = ["accepted", ...VERDICTS, "deleted"] as const;
  await client.query({
    name: "book-totals",
    text: `
      insert into totals as t (tenant_id, source_type, source_id, hour, lane, ${numbers.join(", ")})
      select tenant_id, source_type, source_id, hour, $5, ${numbers.join(", ")}
      from unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[],
        ${numbers.map((_, i) => `$${i + 6}::bigint[]`).join(", ")})
        as n (tenant_id, source_type, source_id, hour, ${numbers.join(", ")})
      on conflict (tenant_id, source_type, source_id, hour, lane) do update
      set ${numbers.map((name) => `${name} = t.${name} + excluded.${name}`).join(", ")}`,
    values: [
      totals.map(({ tenantId }) => tenantId),
      totals.map(({ sourceType }) => storable(sourceType)),
      totals.map(({ sourceId }) => storable(sourceId)),
      totals.map(({ hour }) => hour),
      lane,
      totals.map(({ accepted }) => accepted),
      ...VERDICTS.map((verdict) => totals.map(({ verdicts }) => verdicts[verdict])),
      totals.map(({ deleted }) => deleted),
    ],
  });
}
