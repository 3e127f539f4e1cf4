import { create } from "@bufbuild/protobuf";
import {
  type DeadLetterFate,
  DeadLetterFateSchema,
  type LocatedRow,
  LocatedRowSchema,
  type RecordFate,
  RecordFateSchema,
  RecordState,
} from "@chowhound/shared/contracts/chowhound/v1/query_service";
import { STATE_OF } from "./group-fates.ts";
import { inMicroseconds, toTimestamp } from "./landed-row.ts";
import { formatLetterId, type LetterId } from "./letter-id.ts";
import { columnsOf } from "./letter-rows.ts";
import type { Run } from "./read-pool.ts";
import type { Verdict } from "./verdict.ts";

const ABOUT = `batch_id as "batchId", uuid, source_type as "sourceType", source_id as "sourceId", data_id as "dataId",
  receipt_id as "receiptId", trace_id as "traceId", pipeline_version as "pipelineVersion",
  ${inMicroseconds("accepted_at")} as "acceptedUs"`;

/** What rows and dead letters both say. Numbers of 64 bits are decimal texts. */
interface About {
  batchId: string;
  uuid: string;
  sourceType: string;
  sourceId: string;
  dataId: string;
  receiptId: string | null;
  traceId: string | null;
  pipelineVersion: string;
  acceptedUs: string;
}

export interface Row extends About {
  versionUs: string;
  storedUs: string;
}

export interface LetterRow extends About {
  ordinal: number;
  stage: string;
  reason: string;
  detail: string;
  state: string;
  attempts: number;
  verdict: Verdict | null;
  replayBatchId: string | null;
  firstSeenUs: string;
  settledUs: string | null;
}

export function readRows(run: Run, tenantId: string, uuids: readonly string[]): Promise<Row[]> {
  return run({
    text: `select ${ABOUT}, version_us as "versionUs", ${inMicroseconds("stored_at")} as "storedUs"
      from records where tenant_id = $1 and uuid = any($2::uuid[])`,
    values: [tenantId, uuids],
  });
}

const LETTER = `${ABOUT}, ordinal, stage, reason, detail, state, attempts, verdict, replay_batch_id as "replayBatchId",
  ${inMicroseconds("first_seen")} as "firstSeenUs", ${inMicroseconds("settled_at")} as "settledUs"`;

/** The tenant's letters of the uuid, the newest first: a producer may have sent it any number of times. */
export function readLettersOf(run: Run, tenantId: string, uuid: string, limit: number): Promise<LetterRow[]> {
  return run({
    text: `select ${LETTER} from dead_letters where tenant_id = $1 and uuid = $2::uuid
      order by first_seen desc limit ${limit}`,
    values: [tenantId, uuid],
  });
}

/** Those of the letters that are the tenant's. */
export function readLetters(run: Run, tenantId: string, ids: readonly LetterId[]): Promise<LetterRow[]> {
  return run({
    text: `select ${LETTER} from dead_letters
      where tenant_id = $1 and (batch_id, ordinal) in (select * from unnest($2::uuid[], $3::integer[]))`,
    values: [tenantId, ...columnsOf(ids)],
  });
}

/** A fate of which no invoice tells any more. */
export function toFate(
  about: About,
  { state, bookedUs, ordinal }: { state: RecordState; bookedUs: string; ordinal: number },
): RecordFate {
  return create(RecordFateSchema, {
    uuid: about.uuid,
    state,
    receiptId: about.receiptId ?? "",
    traceId: about.traceId ?? "",
    acceptedAt: toTimestamp(about.acceptedUs),
    bookedAt: toTimestamp(bookedUs),
    pipelineVersion: BigInt(about.pipelineVersion),
    batch: { batchId: about.batchId, ordinal },
  });
}

const BROUGHT_BY = new Set<RecordState>([
  RecordState.STORED,
  RecordState.UPDATED,
  RecordState.UNCHANGED,
  RecordState.LANDED,
]);

export function toLocatedRow(row: Row, { state, batch }: RecordFate): LocatedRow {
  return create(LocatedRowSchema, {
    key: { sourceType: row.sourceType, sourceId: row.sourceId, dataId: row.dataId },
    batchId: row.batchId,
    isThis: row.batchId === batch?.batchId && BROUGHT_BY.has(state),
    version: toTimestamp(row.versionUs),
    storedAt: toTimestamp(row.storedUs),
  });
}

export function toDeadLetter(letter: LetterRow): DeadLetterFate {
  const { sourceType, sourceId, dataId, stage, reason, detail, state, attempts, verdict, settledUs } = letter;
  return create(DeadLetterFateSchema, {
    id: formatLetterId(letter),
    key: { sourceType, sourceId, dataId },
    stage,
    reason,
    detail,
    state,
    attempts,
    ...(verdict !== null && { verdict: STATE_OF[verdict] }),
    ...(settledUs !== null && { settledAt: toTimestamp(settledUs) }),
  });
}
