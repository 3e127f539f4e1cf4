import { randomBytes } from "node:crypto";
import { create, toBinary } from "@bufbuild/protobuf";
import { REPLAY_ENVELOPE_VERSION } from "@chowhound/shared/batch/decode-batch";
import {
  type Call,
  CallSchema,
  RecordBatchSchema,
} from "@chowhound/shared/contracts/chowhound/internal/v1/record_batch";
import { parseUuid, UUID_BYTES } from "@chowhound/shared/record/uuid";
import type { AcceptedRecord } from "@chowhound/shared/record/validate-record";
import type { SpanContext } from "@chowhound/shared/telemetry/trace-header";
import { formatTraceparent, parseTraceparent } from "@chowhound/shared/telemetry/traceparent";
import type { WholeLetter } from "./dead-letter-archive.ts";

/** A dead letter that can be sent again, with what the door says of its record. */
export interface ReplayableLetter {
  letter: WholeLetter;
  record: AcceptedRecord;
}

/** A replay as it is published to RAW. */
export interface ReplayBatch {
  bytes: Uint8Array;
  /** By the index of each call: the trace in which its records were accepted; calls without one are not in it. */
  originalTraces: ReadonlyMap<number, SpanContext>;
  calls: readonly Call[];
}

/** Replays go through the first partition: which one it is matters to nothing but the load. */
export const REPLAY_PARTITION = 0;

/**
 * Dead letters of one batch, ascending, as a new batch: the records as they were accepted, under their uuids, their
 * receipts and their time of acceptance, and a note which letters they are.
 *
 * @param span of the replay; undefined where it isn't sampled: then the records keep the traces that they had
 */
export function createReplayBatch(
  letters: readonly ReplayableLetter[],
  span: SpanContext | undefined,
): ReplayBatch {
  const [first] = letters as [ReplayableLetter, ...ReplayableLetter[]];
  const calls: Call[] = [];
  const originalTraces = new Map<number, SpanContext>();
  const callOf = letters.map(({ letter }) => {
    const receiptId = bytesOf(letter.receiptId);
    const known = calls.findIndex(
      (call) => call.tenantId === letter.tenantId && receiptId.equals(call.receiptId),
    );
    if (known >= 0) return known;
    const original = letter.traceparent ?? "";
    const traceparent = span === undefined ? original : formatTraceparent(span);
    calls.push(create(CallSchema, { tenantId: letter.tenantId, receiptId, traceparent }));
    const trace = parseTraceparent(original);
    if (trace !== undefined) originalTraces.set(calls.length - 1, trace);
    return calls.length - 1;
  });
  const batch = create(RecordBatchSchema, {
    envelopeVersion: REPLAY_ENVELOPE_VERSION,
    batchId: randomBytes(UUID_BYTES),
    acceptedAtUs: BigInt(first.letter.acceptedAtUs),
    partition: REPLAY_PARTITION,
    acceptedCount: letters.length,
    calls,
    originals: letters.map(({ record }) => record.bytes),
    callOf,
    uuids: Buffer.concat(letters.map(({ letter }) => bytesOf(letter.uuid))),
    contentHashes: Buffer.concat(letters.map(({ record }) => record.contentHash)),
    versionsUs: letters.map(({ record }) => BigInt(record.versionUs)),
    replayOf: bytesOf(first.letter.batchId),
    replayOrdinals: letters.map(({ letter }) => letter.ordinal),
  });
  return { bytes: toBinary(RecordBatchSchema, batch), originalTraces, calls };
}

function bytesOf(uuid: string | null): Buffer {
  return (uuid === null ? undefined : parseUuid(uuid)) ?? Buffer.alloc(0);
}
