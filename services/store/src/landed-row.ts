import { create, type JsonObject, toBinary } from "@bufbuild/protobuf";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import type { Timestamp } from "@bufbuild/protobuf/wkt";
import { IngestionDataSchema } from "@chowhound/shared/contracts/chowhound/v1/ingestion_data";
import { LandedRecordSchema } from "@chowhound/shared/contracts/chowhound/v1/query_service";
import { encodeOpenFields } from "@chowhound/shared/record/json-fields";

/** A row of records as `landedColumns` selects it. Numbers of 64 bits are decimal texts; times are in microseconds since 1970. */
export interface LandedRow {
  tenant_id: string;
  source_type: string;
  source_id: string;
  data_id: string;
  uuid: string;
  version_us: string;
  pipeline_version: string;
  data: string;
  metadata: JsonObject;
  metadata_type: string;
  lang: string;
  attributes: Record<string, string>;
  raw_payload: Buffer | null;
  raw_content_type: string | null;
  created_us: string | null;
  updated_us: string | null;
  accepted_us: string;
  stored_us: string;
  receipt_id: string;
  trace_id: string | null;
}

/** SQL for a time in microseconds since 1970. */
export const inMicroseconds = (column: string): string => `(extract(epoch from ${column}) * 1000000)::bigint`;

export function landedColumns(includeRawPayload: boolean): string {
  return `tenant_id, source_type, source_id, data_id, uuid, version_us, pipeline_version, data, metadata, metadata_type, lang,
    attributes, ${includeRawPayload ? "raw_payload" : "null::bytea as raw_payload"}, raw_content_type, receipt_id, trace_id,
    ${inMicroseconds("created_at")} as created_us, ${inMicroseconds("updated_at")} as updated_us,
    ${inMicroseconds("accepted_at")} as accepted_us, ${inMicroseconds("stored_at")} as stored_us`;
}

/**
 * Encodes a LandedRecord. Metadata and attributes are written by hand, since the protobuf library loses the key `__proto__`.
 * Throws RangeError where those two are larger than a record may be.
 */
export function encodeLanded(row: LandedRow): Uint8Array {
  const metadata = Object.keys(row.metadata).length === 0 ? undefined : row.metadata;
  const openFields = encodeOpenFields(metadata, row.attributes);
  const otherFields = toBinary(
    IngestionDataSchema,
    create(IngestionDataSchema, {
      uuid: row.uuid,
      tenantId: row.tenant_id,
      sourceType: row.source_type,
      sourceId: row.source_id,
      dataId: row.data_id,
      data: row.data,
      metadataType: row.metadata_type,
      lang: row.lang,
      ...(row.created_us !== null && { createdAt: toTimestamp(row.created_us) }),
      ...(row.updated_us !== null && { updatedAt: toTimestamp(row.updated_us) }),
      ...(row.raw_payload !== null && {
        rawPayload: { content: row.raw_payload, contentType: row.raw_content_type ?? "" },
      }),
    }),
  );
  const about = toBinary(
    LandedRecordSchema,
    create(LandedRecordSchema, {
      version: toTimestamp(row.version_us),
      pipelineVersion: BigInt(row.pipeline_version),
      acceptedAt: toTimestamp(row.accepted_us),
      storedAt: toTimestamp(row.stored_us),
      receiptId: row.receipt_id,
      traceId: row.trace_id ?? "",
    }),
  );
  return new BinaryWriter()
    .tag(LandedRecordSchema.field.record.number, WireType.LengthDelimited)
    .bytes(Buffer.concat([otherFields, openFields]))
    .raw(about)
    .finish();
}

/** @param us microseconds since 1970, as a decimal text */
export function toTimestamp(us: string): Pick<Timestamp, "seconds" | "nanos"> {
  const whole = BigInt(us);
  const fraction = ((whole % 1_000_000n) + 1_000_000n) % 1_000_000n;
  return { seconds: (whole - fraction) / 1_000_000n, nanos: Number(fraction) * 1000 };
}
