import { create, toBinary } from "@bufbuild/protobuf";
import { callAt } from "@chowhound/shared/batch/batch-columns";
import {
  type DeadLabel,
  DeadLabelSchema,
  type Enrichment,
  EnrichmentSchema,
  type PipelineRef,
  PipelineRefSchema,
  type RecordBatch,
  RecordBatchSchema,
} from "@chowhound/shared/contracts/chowhound/internal/v1/record_batch";
import { attributesToJson } from "@chowhound/shared/record/attributes-json";
import { HASH_BYTES, recordFingerprint } from "@chowhound/shared/record/content-hash";
import { RECORD_FIELD, RecordView } from "@chowhound/shared/record/record-view";
import { UUID_BYTES } from "@chowhound/shared/record/uuid";
import { type DeadOutcome, deadByException, enrichRecord, type RecordOutcome } from "./enrich-record.ts";
import type { CompiledPipeline } from "./pipeline.ts";
import { defaultPipeline, type PipelineSet, selectPipeline } from "./pipeline-set.ts";
import type { RecordChanges } from "./record-draft.ts";

/** The number of a batch in RAW. */
export interface RawNumber {
  readonly epoch: bigint;
  readonly sequence: bigint;
}

/** What an enricher adds to a batch; nothing else of the message changes. */
export type Additions = Pick<
  RecordBatch,
  | "origin"
  | "pipelines"
  | "pipelineOf"
  | "enrichments"
  | "fingerprints"
  | "deadLabels"
  | "droppedPipelineOf"
  | "pipelinesState"
>;

const maxDetailLength = 500;

export interface EnrichOptions {
  /** The largest message; what exceeds it by far is dropped on the way, so that no batch fills the memory. */
  maxBytes: number;
  /** Called before a record is looked at; with an outcome it isn't looked at. */
  before?: (index: number) => DeadOutcome | undefined;
}

/**
 * Has every record of a raw batch processed by its pipeline. Each record ends with a fingerprint, or with a dead
 * label (then its fingerprint is zeros); none affects another.
 */
export function enrichBatch(
  batch: RecordBatch,
  origin: RawNumber,
  pipelines: PipelineSet,
  { maxBytes, before }: EnrichOptions,
): Additions {
  const count = batch.originals.length;
  const uuids = batch.uuids;
  const contentHashes = asBuffer(batch.contentHashes);
  const used = new UsedPipelines();
  const select = createSelector(pipelines);
  const view = new RecordView();
  let weight = 0;
  let additions = {
    origin: create(RecordBatchSchema, { origin }).origin!,
    pipelines: used.refs,
    pipelineOf: used.pipelineOf,
    enrichments: [] as Enrichment[],
    fingerprints: Buffer.alloc(count * HASH_BYTES),
    deadLabels: [] as DeadLabel[],
    droppedPipelineOf: [] as number[],
  };

  for (let index = 0; index < count; index++) {
    const { tenantId } = callAt(batch, index);
    let pipeline = defaultPipeline;
    let outcome: RecordOutcome | undefined = before?.(index);
    try {
      if (outcome === undefined) {
        view.read(batch.originals[index]!);
        pipeline = select(tenantId, view.slice(RECORD_FIELD.sourceType));
        outcome = enrichRecord(view, { tenantId, uuids, uuidAt: index * UUID_BYTES }, pipeline);
      }
    } catch (error) {
      outcome = deadByException(error);
    }
    used.add(pipeline);
    if (outcome.kind === "dead") {
      additions.deadLabels.push(toDeadLabel(index, outcome));
      continue;
    }
    recordFingerprint(
      {
        tenantId,
        sourceType: view.slice(RECORD_FIELD.sourceType),
        sourceId: view.slice(RECORD_FIELD.sourceId),
        dataId: outcome.dataId,
        versionUs: batch.versionsUs[index]!,
        contentHash: contentHashes.subarray(index * HASH_BYTES, (index + 1) * HASH_BYTES),
        pipelineVersion: pipeline.version,
      },
      additions.fingerprints,
      index * HASH_BYTES,
    );
    if (outcome.changes === undefined) continue;
    const enrichment = toEnrichment(index, outcome.changes);
    additions.enrichments.push(enrichment);
    weight += lengthOf(enrichment);
    if (weight > 2 * maxBytes) {
      additions = withoutLargest(additions, weight - maxBytes, maxBytes);
      weight = additions.enrichments.reduce((sum, each) => sum + lengthOf(each), 0);
    }
  }
  // What the gateway has dropped would have gone the same way.
  const ofSources = batch.dropped.map(({ tenantId, sourceType }) =>
    used.placeOf(select(tenantId, Buffer.from(sourceType))),
  );
  additions.droppedPipelineOf = batch.droppedSourceOf.map((source) => ofSources[source]!);
  return additions;
}

/** In characters of its longest texts; never more than its bytes. */
function lengthOf({ data = "", metadataJson = "", attributesJson = "" }: Enrichment): number {
  return data.length + metadataJson.length + attributesJson.length;
}

/**
 * The enriched message: the raw one's bytes, followed by those of what is added (protobuf merges the two). Where that
 * would be larger than a message can be, the largest enrichments are dropped and their records labelled dead.
 *
 * @returns undefined where even that doesn't help: no gateway makes such a message
 */
export function appendAdditions(
  message: Uint8Array,
  additions: Additions,
  maxBytes: number,
): { bytes: Uint8Array; additions: Additions } | undefined {
  let fitted = additions;
  for (;;) {
    const added = toBinary(RecordBatchSchema, create(RecordBatchSchema, fitted));
    const excess = message.length + added.length - maxBytes;
    if (excess <= 0) return { bytes: Buffer.concat([message, added]), additions: fitted };
    if (fitted.enrichments.length > 0) fitted = withoutLargest(fitted, excess, maxBytes);
    else if (fitted.deadLabels.some(({ detail }) => detail !== "")) fitted = withoutDetails(fitted);
    else return undefined;
  }
}

/** A label costs about this much; one more round is needed where it is more. */
const labelBytes = 150;

function withoutLargest<A extends Additions>(additions: A, excess: number, maxBytes: number) {
  const bySize = additions.enrichments
    .map((enrichment) => ({ enrichment, bytes: toBinary(EnrichmentSchema, enrichment).length }))
    .sort((a, b) => b.bytes - a.bytes);
  const deadLabels = [...additions.deadLabels];
  const fingerprints = Buffer.from(additions.fingerprints);
  const dropped = new Set<Enrichment>();
  let freed = 0;
  for (const { enrichment, bytes } of bySize) {
    if (freed >= excess) break;
    freed += Math.max(bytes - labelBytes, 0);
    dropped.add(enrichment);
    const { index } = enrichment;
    fingerprints.fill(0, index * HASH_BYTES, (index + 1) * HASH_BYTES);
    const detail = `with the ${bytes} bytes that its pipeline changed the batch exceeds ${maxBytes} bytes`;
    deadLabels.push(toDeadLabel(index, { kind: "dead", reason: "outgrew_message", detail }));
  }
  const enrichments = additions.enrichments.filter((enrichment) => !dropped.has(enrichment));
  return { ...additions, enrichments, deadLabels, fingerprints };
}

function withoutDetails(additions: Additions): Additions {
  return { ...additions, deadLabels: additions.deadLabels.map((label) => ({ ...label, detail: "" })) };
}

/** The pipelines of a batch's records, each listed once. */
class UsedPipelines {
  readonly refs: PipelineRef[] = [];
  readonly pipelineOf: number[] = [];
  readonly #places = new Map<CompiledPipeline, number>();

  /** The next record is processed by `pipeline`. */
  add(pipeline: CompiledPipeline): void {
    this.pipelineOf.push(this.placeOf(pipeline));
  }

  placeOf(pipeline: CompiledPipeline): number {
    let place = this.#places.get(pipeline);
    if (place === undefined) {
      const { tenant, sourceType, version } = pipeline;
      const isDefault = pipeline === defaultPipeline;
      place = this.refs.push(
        create(PipelineRefSchema, isDefault ? {} : { tenantId: tenant, sourceType, version }),
      );
      this.#places.set(pipeline, --place);
    }
    return place;
  }
}

/** `selectPipeline` that remembers its last answer: the records of a call mostly have one source type. */
function createSelector(pipelines: PipelineSet) {
  let lastTenant: string | undefined;
  let lastSourceType: Buffer | undefined;
  let last = defaultPipeline;
  return (tenantId: string, sourceType: Buffer): CompiledPipeline => {
    if (tenantId !== lastTenant || lastSourceType === undefined || !sourceType.equals(lastSourceType)) {
      last = selectPipeline(pipelines, tenantId, sourceType.toString());
      lastTenant = tenantId;
      lastSourceType = sourceType;
    }
    return last;
  };
}

function toEnrichment(index: number, { metadata, attributes, ...changes }: RecordChanges): Enrichment {
  return create(EnrichmentSchema, {
    index,
    ...changes,
    ...(metadata !== undefined && { metadataJson: JSON.stringify(metadata) }),
    ...(attributes !== undefined && { attributesJson: attributesToJson(attributes) }),
  });
}

function toDeadLabel(index: number, { reason, detail }: DeadOutcome): DeadLabel {
  const bounded = detail.slice(0, maxDetailLength).toWellFormed();
  return create(DeadLabelSchema, { index, stage: "enricher", reason, detail: bounded });
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
