import { isReplay } from "@chowhound/shared/batch/batch-columns";
import type { RecordBatch } from "@chowhound/shared/contracts/chowhound/internal/v1/record_batch";
import type { Client } from "pg";
import type { DeadRecord } from "./incoming-record.ts";
import { formatLetterId, type LetterId, replayedLetter } from "./letter-id.ts";
import type { LetterSettlement, Relapse, Resolution } from "./settle-letters.ts";
import { storable } from "./storable.ts";

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

/** SQL for a timestamptz from microseconds since 1970, exact. */
export const timeOf = (us: string): string => `timestamptz 'epoch' + ${us} * interval '1 microsecond'`;

/**
 * Locks letters until the end of the transaction, in the order in which everybody does. Returns by id as text whether
 * each is open; letters that are not there are not in it.
 */
export async function lockLetters(client: Client, ids: readonly LetterId[]): Promise<Map<string, boolean>> {
  if (ids.length === 0) return new Map();
  const { rows } = await client.query<{ batch_id: string; ordinal: number; state: string }>({
    name: "lock-letters",
    text: `
      select batch_id, ordinal, state from dead_letters
      where (batch_id, ordinal) in (select * from unnest($1::uuid[], $2::integer[]))
      order by batch_id, ordinal for update`,
    values: columnsOf(ids),
  });
  return new Map(
    rows.map(({ batch_id, ordinal, state }) => [
      formatLetterId({ batchId: batch_id, ordinal }),
      state === "open",
    ]),
  );
}

/** The letters that are replayed by these batches. */
export function replayedLetters(batches: readonly RecordBatch[]): LetterId[] {
  return batches
    .filter(isReplay)
    .flatMap((batch) => batch.replayOrdinals.map((_, index) => replayedLetter(batch, index)));
}

/**
 * Writes what has become of letters. Returns the dead records that have been kept before: their batch came again after its
 * invoice was folded. Their letters stay as they are.
 */
export async function writeLetters(
  client: Client,
  settlement: LetterSettlement,
): Promise<ReadonlySet<DeadRecord>> {
  const kept = await keepFresh(client, settlement.fresh);
  // Relapses first: a letter can have died again and be resolved in one transaction.
  await noteRelapses(client, settlement.relapses);
  await resolve(client, settlement.resolutions);
  return new Set(settlement.fresh.filter((record) => !kept.has(letterOf(record))));
}

/** The id, as text, of the letter that a dead record has got or gets. */
function letterOf({ batch, ordinal }: DeadRecord): string {
  return `${hex(batch.batchId)}/${ordinal}`;
}

/** Keeps dead records, whole. Returns the ids of those that had no letter. */
async function keepFresh(client: Client, dead: readonly DeadRecord[]): Promise<Set<string>> {
  if (dead.length === 0) return new Set();
  const column = <T>(pick: (record: DeadRecord) => T): T[] => dead.map(pick);
  const { rows } = await client.query<{ letter: string }>({
    name: "keep-letters",
    text: `
      insert into dead_letters (epoch, raw_seq, ordinal, batch_id, tenant_id, uuid, source_type, source_id, data_id,
        stage, reason, detail, pipeline_version, original, accepted_at, receipt_id, trace_id, traceparent)
      select epoch, raw_seq, ordinal, batch_id, tenant_id, uuid, source_type, source_id, data_id,
        stage, reason, detail, pipeline_version, original, ${timeOf("accepted_us")}, receipt_id,
        substr(traceparent, 4, 32), traceparent
      from unnest($1::bigint[], $2::bigint[], $3::integer[], $4::uuid[], $5::text[], $6::uuid[], $7::text[],
        $8::text[], $9::text[], $10::text[], $11::text[], $12::text[], $13::bigint[], $14::bytea[],
        $15::bigint[], $16::uuid[], $17::text[])
        as n (epoch, raw_seq, ordinal, batch_id, tenant_id, uuid, source_type, source_id, data_id,
          stage, reason, detail, pipeline_version, original, accepted_us, receipt_id, traceparent)
      on conflict on constraint dead_letters_key do nothing
      returning encode(uuid_send(batch_id), 'hex') || '/' || ordinal as letter`,
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
      column(({ batch }) => batch.acceptedAtUs),
      column(({ call }) => hex(call.receiptId) || null),
      column(({ call }) => call.traceparent || null),
    ],
  });
  return new Set(rows.map(({ letter }) => letter));
}

async function noteRelapses(client: Client, relapses: readonly Relapse[]): Promise<void> {
  if (relapses.length === 0) return;
  const column = <T>(pick: (relapse: Relapse) => T): T[] => relapses.map(pick);
  await client.query({
    name: "relapse-letters",
    text: `
      update dead_letters l
      set stage = n.stage, reason = n.reason, detail = n.detail, pipeline_version = n.pipeline_version,
        last_seen = now(), attempts = l.attempts + n.deaths, replay_batch_id = n.replay_batch_id
      from unnest($1::uuid[], $2::integer[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::integer[],
        $8::uuid[]) as n (batch_id, ordinal, stage, reason, detail, pipeline_version, deaths, replay_batch_id)
      where l.batch_id = n.batch_id and l.ordinal = n.ordinal`,
    values: [
      ...columnsOf(column(({ letter }) => letter)),
      column(({ record }) => record.stage),
      column(({ record }) => record.reason),
      column(({ record }) => storable(record.detail)),
      column(({ record }) => record.pipelineVersion),
      column(({ deaths }) => deaths),
      column(({ record }) => hex(record.batch.batchId)),
    ],
  });
}

async function resolve(client: Client, resolutions: readonly Resolution[]): Promise<void> {
  if (resolutions.length === 0) return;
  await client.query({
    name: "resolve-letters",
    text: `
      update dead_letters l
      set state = 'resolved', settled_at = now(), verdict = n.verdict, replay_batch_id = n.replay_batch_id
      from unnest($1::uuid[], $2::integer[], $3::text[], $4::uuid[])
        as n (batch_id, ordinal, verdict, replay_batch_id)
      where l.batch_id = n.batch_id and l.ordinal = n.ordinal`,
    values: [
      ...columnsOf(resolutions.map(({ letter }) => letter)),
      resolutions.map(({ verdict }) => verdict),
      resolutions.map(({ replay }) => hex(replay.batchId)),
    ],
  });
}

/** Ids as two parameters of a query. */
export function columnsOf(ids: readonly LetterId[]): [string[], number[]] {
  return [ids.map(({ batchId }) => batchId), ids.map(({ ordinal }) => ordinal)];
}
