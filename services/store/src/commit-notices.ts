import { create, toBinary } from "@bufbuild/protobuf";
import { CommitNoticeSchema } from "@chowhound/shared/contracts/chowhound/internal/v1/commit_notice";
import type { NatsNames } from "@chowhound/shared/stream/topology";
import type { NatsConnection } from "@nats-io/transport-node";
import type { WriteResult } from "./ingestion-writer.ts";

/** Tells dedup what a commit has brought in. Plain NATS: a lost notice costs a look-up in the database, no more. */
export function sendCommitNotice(nc: NatsConnection, names: NatsNames, result: WriteResult): void {
  // Batches that had been written before are not told again: their number says nothing about this database's age.
  const batches = result.outcomes.flatMap((outcome) =>
    outcome.kind === "booked" && outcome.committedFingerprints.length > 0
      ? [{ batchId: outcome.batchId, fingerprints: outcome.committedFingerprints }]
      : [],
  );
  if (batches.length === 0 || nc.isClosed()) return;
  nc.publish(
    names.commitNotices,
    toBinary(CommitNoticeSchema, create(CommitNoticeSchema, { generation: result.generation, batches })),
  );
}
