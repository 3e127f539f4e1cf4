import { create } from "@bufbuild/protobuf";
import {
  callAt,
  contentHashAt,
  fingerprintAt,
  ordinalAt,
  uuidAt,
} from "@chowhound/shared/batch/batch-columns";
import { type LandedRecord, readLanded } from "@chowhound/shared/batch/landed-record";
import {
  type Call,
  type DeadLabel,
  DeadLabelSchema,
  type Enrichment,
  type RecordBatch,
} from "@chowhound/shared/contracts/chowhound/internal/v1/record_batch";
import { RECORD_FIELD, RecordView } from "@chowhound/shared/record/record-view";
import { StructError } from "@chowhound/shared/record/struct-json";
import { UUID_BYTES } from "@chowhound/shared/record/uuid";
import { WireError } from "@chowhound/shared/record/wire";
import type { RowPlace } from "./copy-binary.ts";
import { type RecordSource, RecordSources } from "./record-source.ts";
import { encodeCall, type RowContext, RowFields } from "./row-fields.ts";
import type { Candidate } from "./settle-records.ts";
import type { Verdict } from "./verdict.ts";

/** One record on its way into the table. What few ask for is read when it is asked for. */
export class IncomingRecord implements Candidate, RowPlace {
  readonly batch: RecordBatch;
  /** Its index in the batch's columns. */
  readonly index: number;
  readonly source: RecordSource;
  readonly tenantId: string;
  readonly key: string;
  /** Without hyphens. */
  readonly uuid: string;
  readonly versionUs: bigint;
  readonly contentHash: Uint8Array;
  readonly pipelineVersion: bigint;
  readonly rowStart: number;
  readonly rowEnd: number;
  /** What became of it; undefined while that is open, and of a record that the database refused. */
  verdict: Verdict | undefined;
  readonly #changed: Enrichment | undefined;

  /** @param row where its row is */
  constructor(
    { batch, index, source, pipelineVersion, changed }: RowContext,
    dataId: string,
    uuid: string,
    { rowStart, rowEnd }: RowPlace,
  ) {
    this.batch = batch;
    this.index = index;
    this.source = source;
    this.tenantId = source.tenantId;
    this.key = source.keyPrefix + dataId;
    this.uuid = uuid;
    this.versionUs = batch.versionsUs[index]!;
    this.contentHash = contentHashAt(batch, index);
    this.pipelineVersion = pipelineVersion;
    this.rowStart = rowStart;
    this.rowEnd = rowEnd;
    this.verdict = undefined;
    this.#changed = changed;
  }

  /** Its place in the batch as the gateway made it. */
  get ordinal(): number {
    return ordinalAt(this.batch, this.index);
  }

  get fingerprint(): Uint8Array {
    return fingerprintAt(this.batch, this.index);
  }

  /** As derived by its pipeline. */
  get dataId(): string {
    return Buffer.from(this.key.slice(this.source.keyPrefix.length), "latin1").toString();
  }

  /** What a row says, to be read: for sinks that are no tables. */
  landed(): LandedRecord {
    return readLanded(new RecordView().read(this.batch.originals[this.index]!), this.#changed);
  }
}

/** A record that is not to become a row, with the reason. */
export interface DeadRecord {
  batch: RecordBatch;
  index: number;
  ordinal: number;
  call: Call;
  uuidBytes: Uint8Array;
  original: Uint8Array;
  sourceType: string;
  sourceId: string;
  dataId: string;
  pipelineVersion: bigint;
  stage: string;
  reason: string;
  /** For a person; holds no record contents. */
  detail: string;
}

/** A group of batches, split into what is to become rows and what is labelled dead. */
export interface IncomingGroup {
  records: IncomingRecord[];
  dead: DeadRecord[];
}

/** Reads groups of batches, one after the other. */
export class GroupReader {
  /** The rows of the group that was read last. */
  readonly rows = new RowFields();
  readonly #view = new RecordView();

  read(batches: readonly RecordBatch[]): IncomingGroup {
    const group: IncomingGroup = { records: [], dead: [] };
    const sources = new RecordSources();
    this.rows.clear();
    for (const batch of batches) this.#readBatch(batch, sources, group);
    return group;
  }

  #readBatch(batch: RecordBatch, sources: RecordSources, { records, dead }: IncomingGroup): void {
    const enrichments = new Map<number, Enrichment>();
    for (const enrichment of batch.enrichments) enrichments.set(enrichment.index, enrichment);
    const labels = new Map<number, DeadLabel>();
    for (const label of batch.deadLabels) labels.set(label.index, label);
    const calls = batch.calls.map((call) => encodeCall(batch, call));
    const uuids = Buffer.from(batch.uuids.buffer, batch.uuids.byteOffset, batch.uuids.length).toString("hex");
    for (let index = 0; index < batch.originals.length; index++) {
      const label = labels.get(index);
      if (label !== undefined) {
        dead.push(readDead(batch, index, label));
        continue;
      }
      try {
        const view = this.#view.read(batch.originals[index]!);
        const changed = enrichments.get(index);
        const context = {
          batch,
          index,
          changed,
          source: sources.of(callAt(batch, index).tenantId, view),
          pipelineVersion: batch.pipelines[batch.pipelineOf[index]!]!.version,
          callFields: calls[batch.callOf[index]!]!,
        };
        const rowStart = this.rows.length;
        this.rows.add(view, context);
        const uuid = uuids.slice(2 * index * UUID_BYTES, 2 * (index + 1) * UUID_BYTES);
        const place = { rowStart, rowEnd: this.rows.length };
        records.push(new IncomingRecord(context, readDataId(view, changed), uuid, place));
      } catch (error) {
        if (!(error instanceof WireError || error instanceof StructError)) throw error;
        dead.push(readDead(batch, index, unreadable(index, error)));
      }
    }
  }
}

/** One batch, for whoever has no use for rows. */
export function readBatch(batch: RecordBatch): IncomingGroup {
  return new GroupReader().read([batch]);
}

/** In latin1, as in keys: a character a byte. */
function readDataId(view: RecordView, changed: Enrichment | undefined): string {
  const { dataId } = RECORD_FIELD;
  return changed?.dataId === undefined
    ? view.bytes.toString("latin1", view.start(dataId), view.end(dataId))
    : Buffer.from(changed.dataId).toString("latin1");
}

/** The door has read the record, so this came in behind it, or from software that reads otherwise. */
function unreadable(index: number, error: Error): DeadLabel {
  const detail = `not an encoded chowhound.v1.IngestionData: ${error.message}`;
  return create(DeadLabelSchema, { index, stage: "store", reason: "undecodable_record", detail });
}

/** The same record as a dead letter of the store. */
export function toDead(record: IncomingRecord, reason: string, detail: string): DeadRecord {
  const { batch, index, source, dataId, pipelineVersion } = record;
  return {
    ...placeOf(batch, index),
    sourceType: source.sourceType,
    sourceId: source.sourceId,
    dataId,
    pipelineVersion,
    stage: "store",
    reason,
    detail,
  };
}

function readDead(batch: RecordBatch, index: number, label: DeadLabel): DeadRecord {
  const pipeline = batch.pipelines[batch.pipelineOf[index]!];
  return {
    ...placeOf(batch, index),
    ...readIdentity(batch.originals[index]!),
    pipelineVersion: pipeline?.version ?? 0n,
    stage: label.stage,
    reason: label.reason,
    detail: label.detail,
  };
}

function placeOf(batch: RecordBatch, index: number) {
  return {
    batch,
    index,
    ordinal: ordinalAt(batch, index),
    call: callAt(batch, index),
    uuidBytes: uuidAt(batch, index),
    original: batch.originals[index]!,
  };
}

/** What a dead record says it is; empty where its bytes can't be read. */
function readIdentity(original: Uint8Array): { sourceType: string; sourceId: string; dataId: string } {
  try {
    const view = new RecordView().read(original);
    return {
      sourceType: view.text(RECORD_FIELD.sourceType),
      sourceId: view.text(RECORD_FIELD.sourceId),
      dataId: view.text(RECORD_FIELD.dataId),
    };
  } catch {
    return { sourceType: "", sourceId: "", dataId: "" };
  }
}
