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

/**
 * Tells dedup and the gateways what a commit has brought in. Plain NATS: a lost notice costs a look-up in the database, no more.
 *
 * @param batches those that `result` has the outcomes of
 */
export function sendCommitNotice(
  nc: NatsConnection,
  names: NatsNames,
  { generation, outcomes }: WriteResult,
  batches: readonly RecordBatch[],
): void {
  const committed = outcomes.flatMap((outcome, i) => committedBatch(outcome, batches[i]!) ?? []);
  if (committed.length === 0 || nc.isClosed()) return;
  const notice = create(CommitNoticeSchema, { generation, batches: committed });
  nc.publish(names.commitNotices, toBinary(CommitNoticeSchema, notice));
}

function committedBatch(outcome: BatchOutcome, { pipelinesState }: RecordBatch): CommittedBatch | undefined {
  // Batches that had been written before are not told again: their number says nothing about this database's age.
  if (outcome.kind === "already_booked" || outcome.committedFingerprints.length === 0) return undefined;
  const { batchId, committedFingerprints: fingerprints, committedOrdinals: ordinals } = outcome;
  return create(CommittedBatchSchema, {
    batchId,
    fingerprints,
    ...(ordinals !== undefined &&
      pipelinesState !== undefined && { ordinals: [...ordinals], pipelinesState }),
  });
}
