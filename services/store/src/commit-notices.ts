import { create, toBinary } from "@bufbuild/protobuf";
import {
  CommitNoticeSchema,
  type CommittedBatch,
  CommittedBatchSchema,
} from "@chowhound/shared/contracts/chowhound/internal/v1/commit_notice";
import type { RecordBatch } from "@chowhound/shared/contracts/chowhound/internal/v1/record_batch";
import type { NatsNames } from "@chowhound/shared/stream/topology";
import type { NatsConnection } from "@nats-io/transport-node";
import type { BatchOutcome, WriteResult } from "./ingestion-writer.ts";

/** Fingerprints in one notice, beyond its first batch: with all else that is in it far below what NATS takes as a message. */
const NOTICE_BYTES = 256 * 1024;

/**
 * Tells dedup and the gateways what a commit has brought in. Plain NATS: a lost notice costs a look-up in the database, no more.
 *
 * @param batches those that `result` has the outcomes of
 */
export function sendCommitNotice(
  nc: NatsConnection,
  names: NatsNames,
  { generation, outcomes, hasMoved }: WriteResult,
  batches: readonly RecordBatch[],
): void {
  // Its invoices have the generation from before the move: asked for under the one from after it, they would not be found.
  if (hasMoved === true || nc.isClosed()) return;
  let told: CommittedBatch[] = [];
  let bytes = 0;
  const tell = (): void => {
    if (told.length === 0) return;
    const notice = create(CommitNoticeSchema, { generation, batches: told });
    nc.publish(names.commitNotices, toBinary(CommitNoticeSchema, notice));
    told = [];
    bytes = 0;
  };
  for (const [i, outcome] of outcomes.entries()) {
    const batch = committedBatch(outcome, batches[i]!);
    if (batch === undefined) continue;
    if (bytes > 0 && bytes + batch.fingerprints.length > NOTICE_BYTES) tell();
    told.push(batch);
    bytes += batch.fingerprints.length;
  }
  tell();
}

function committedBatch(outcome: BatchOutcome, { pipelinesState }: RecordBatch): CommittedBatch | undefined {
  // Batches that had been written before are not told again: their number says nothing about this database's age.
  // One without anything committed is told: whoever asks for the batches that it has heard of last asks for young ones.
  if (outcome.kind === "already_booked") return undefined;
  const { batchId, committedFingerprints: fingerprints, committedOrdinals: ordinals } = outcome;
  return create(CommittedBatchSchema, {
    batchId,
    fingerprints,
    ...(ordinals !== undefined &&
      pipelinesState !== undefined && { ordinals: [...ordinals], pipelinesState }),
  });
}
