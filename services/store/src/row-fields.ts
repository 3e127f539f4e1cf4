import { contentHashAt } from "@chowhound/shared/batch/batch-columns";
import type {
  Call,
  Enrichment,
  RecordBatch,
} from "@chowhound/shared/contracts/chowhound/internal/v1/record_batch";
import { writeAttributes } from "@chowhound/shared/record/attributes-json";
import { ByteWriter } from "@chowhound/shared/record/byte-writer";
import { LIMITS } from "@chowhound/shared/record/limits";
import { timestampUs } from "@chowhound/shared/record/record-version";
import { RECORD_FIELD, type RecordView } from "@chowhound/shared/record/record-view";
import { writeStruct } from "@chowhound/shared/record/struct-json";
import { UUID_BYTES } from "@chowhound/shared/record/uuid";
import { FieldWriter, KEPT_BYTES } from "./copy-binary.ts";
import type { RecordSource } from "./record-source.ts";

/** The columns of `records` that a writer fills, in the order of a row's fields. */
export const COLUMNS = [
  "tenant_id",
  "source_type",
  "source_id",
  "data_id",
  "uuid",
  "version_us",
  "content_hash",
  "pipeline_version",
  "data",
  "metadata",
  "metadata_type",
  "lang",
  "attributes",
  "raw_payload",
  "raw_content_type",
  "created_at",
  "updated_at",
  "accepted_at",
  "batch_id",
  "receipt_id",
  "trace_id",
] as const;

/**
 * The rows of a group of batches as fields of a binary COPY, straight from the records' bytes. Encoded once, whatever
 * way they take into the table.
 */
export class RowFields {
  #fields = new FieldWriter();

  /** The fields of all rows. */
  get bytes(): Buffer {
    return this.#fields.out.written;
  }

  /** Where the next row begins. */
  get length(): number {
    return this.#fields.out.length;
  }

  /** Begins with no rows. */
  clear(): this {
    if (this.#fields.out.buffer.length > KEPT_BYTES) this.#fields = new FieldWriter();
    this.#fields.out.clear();
    return this;
  }

  /**
   * Adds the row of the record in `view`: the original with what its pipeline changed laid over it. Throws WireError or
   * StructError where the record can't be read; then nothing is added.
   */
  add(view: RecordView, { batch, index, source, pipelineVersion, changed, callFields }: RowContext): void {
    const start = this.length;
    try {
      const fields = this.#fields;
      const laid = (
        value: string | undefined,
        number: (typeof RECORD_FIELD)["data" | "dataId" | "lang" | "metadataType"],
      ) =>
        value === undefined
          ? fields.bytes(view.bytes, view.start(number), view.end(number))
          : fields.text(value);
      fields.fields(source.fields);
      laid(changed?.dataId, RECORD_FIELD.dataId);
      fields.bytes(batch.uuids, index * UUID_BYTES, (index + 1) * UUID_BYTES);
      fields.int64(batch.versionsUs[index]!);
      fields.bytes(contentHashAt(batch, index));
      fields.int64(pipelineVersion);
      laid(changed?.data, RECORD_FIELD.data);
      fields.jsonb((out) => writeMetadata(out, view, changed?.metadataJson));
      laid(changed?.metadataType, RECORD_FIELD.metadataType);
      laid(changed?.lang, RECORD_FIELD.lang);
      fields.jsonb((out) =>
        changed?.attributesJson === undefined
          ? writeAttributes(out, view, "as-is")
          : out.utf8(changed.attributesJson),
      );
      const rawPayload = changed?.dropRawPayload ? undefined : view.rawPayload();
      if (rawPayload === undefined) {
        fields.null();
        fields.null();
      } else {
        fields.bytes(rawPayload.content);
        fields.bytes(rawPayload.contentType);
      }
      this.#timestamp(view, RECORD_FIELD.createdAt);
      this.#timestamp(view, RECORD_FIELD.updatedAt);
      fields.fields(callFields);
    } catch (error) {
      this.#fields.out.length = start;
      throw error;
    }
  }

  #timestamp(view: RecordView, field: (typeof RECORD_FIELD)["createdAt" | "updatedAt"]): void {
    const time = view.timestamp(field);
    const us = time === undefined ? undefined : timestampUs(time);
    if (us === undefined) this.#fields.null();
    else this.#fields.timestamp(us);
  }
}

/** What of a row is not in the record itself. */
export interface RowContext {
  batch: RecordBatch;
  /** The record's index in the batch's columns. */
  index: number;
  source: RecordSource;
  pipelineVersion: bigint;
  /** What its pipeline changed. */
  changed: Enrichment | undefined;
  /** `encodeCall` of its call. */
  callFields: Uint8Array;
}

/** The fields that rows of one call share, from accepted_at on. */
export function encodeCall(
  { acceptedAtUs, batchId }: RecordBatch,
  { receiptId, traceparent }: Call,
): Uint8Array {
  const fields = new FieldWriter(new ByteWriter(128));
  fields.timestamp(Number(acceptedAtUs));
  fields.bytes(batchId);
  fields.bytes(receiptId);
  const traceId = traceparent.slice(3, 35);
  if (traceId === "") fields.null();
  else fields.text(traceId);
  return fields.out.written;
}

function writeMetadata(out: ByteWriter, view: RecordView, changed: string | undefined): void {
  const { metadata } = RECORD_FIELD;
  if (changed === undefined)
    writeStruct(out, view.bytes, view.start(metadata), view.end(metadata), LIMITS.metadataDepth, "as-is");
  else out.utf8(changed);
}
