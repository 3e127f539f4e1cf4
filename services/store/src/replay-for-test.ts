import { create } from "@bufbuild/protobuf";
import { callAt, contentHashAt } from "@chowhound/shared/batch/batch-columns";
import { decodeBatch } from "@chowhound/shared/batch/decode-batch";
import {
  DeadLabelSchema,
  PipelineRefSchema,
  RawOriginSchema,
  type RecordBatch,
} from "@chowhound/shared/contracts/chowhound/internal/v1/record_batch";
import { recordFingerprint } from "@chowhound/shared/record/content-hash";
import { RECORD_FIELD, RecordView } from "@chowhound/shared/record/record-view";
import type { DeadLetterArchive } from "./dead-letter-archive.ts";
import type { LetterFilter } from "./letter-selection.ts";
import { createReplayBatch } from "./replay-batch.ts";
import { type ReplayProgress, replayLetters } from "./replay-letters.ts";

/** A replay that goes nowhere: its batches as they would be in RAW, and how it went. */
export async function collectReplay(
  archive: DeadLetterArchive,
  filter: LetterFilter,
  { limit = Number.POSITIVE_INFINITY, maxBatchBytes = 512 * 1024 } = {},
): Promise<{ batches: RecordBatch[]; progress: ReplayProgress[] }> {
  const batches: RecordBatch[] = [];
  const progress: ReplayProgress[] = [];
  const replay = replayLetters(filter, {
    archive,
    limit,
    maxRecordBytes: 1024 ** 2,
    maxBatchBytes,
    publish: async (letters) => {
      const decoded = decodeBatch(createReplayBatch(letters, undefined).bytes);
      if (decoded.kind !== "batch") throw new Error(JSON.stringify(decoded));
      batches.push(decoded.batch);
    },
  });
  for await (const step of replay) progress.push(step);
  return { batches, progress };
}

let lastSequence = 1_000_000n;

/** What the enricher makes of a batch in RAW, with a pipeline that changes nothing. */
export function enriched(
  batch: RecordBatch,
  { version = 0n, dies = () => false }: { version?: bigint; dies?: (index: number) => boolean } = {},
): RecordBatch {
  const pipeline = version === 0n ? {} : { tenantId: "*", sourceType: "*", version };
  const indices = batch.originals.map((_, index) => index);
  return {
    ...batch,
    origin: create(RawOriginSchema, { epoch: 1n, sequence: ++lastSequence }),
    pipelines: [create(PipelineRefSchema, pipeline)],
    pipelineOf: indices.map(() => 0),
    fingerprints: Buffer.concat(
      indices.map((index) => {
        const view = new RecordView().read(batch.originals[index]!);
        return recordFingerprint({
          tenantId: callAt(batch, index).tenantId,
          sourceType: view.slice(RECORD_FIELD.sourceType),
          sourceId: view.slice(RECORD_FIELD.sourceId),
          dataId: view.slice(RECORD_FIELD.dataId),
          versionUs: batch.versionsUs[index]!,
          contentHash: Buffer.from(contentHashAt(batch, index)),
          pipelineVersion: version,
        });
      }),
    ),
    deadLabels: indices
      .filter(dies)
      .map((index) =>
        create(DeadLabelSchema, { index, stage: "enricher", reason: "step_error", detail: `v${version}` }),
      ),
  };
}
