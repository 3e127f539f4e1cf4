import type { Enrichment } from "@chowhound/shared/contracts/chowhound/internal/v1/record_batch";
import { attributesToJson } from "../record/attributes-json.ts";
import { LIMITS } from "../record/limits.ts";
import { timestampUs } from "../record/record-version.ts";
import { RECORD_FIELD, type RecordView } from "../record/record-view.ts";
import { structToJson } from "../record/struct-json.ts";

/** What is landed of a record: the original with what its pipeline changed laid over it. Texts are UTF-8. */
export interface LandedRecord {
  readonly sourceType: Buffer;
  readonly sourceId: Buffer;
  readonly dataId: Buffer;
  readonly data: Buffer;
  readonly metadataJson: string;
  readonly metadataType: Buffer;
  readonly lang: Buffer;
  readonly attributesJson: string;
  readonly rawPayload: { content: Buffer; contentType: Buffer } | undefined;
  /** Whole microseconds since 1970. */
  readonly createdAtUs: number | undefined;
  readonly updatedAtUs: number | undefined;
}

/** Reads the record in `view`; what is not copied stays good when the view reads another. Throws WireError, StructError. */
export function readLanded(view: RecordView, changed: Enrichment | undefined): LandedRecord {
  const field = (value: string | undefined, number: Parameters<RecordView["slice"]>[0]): Buffer =>
    value === undefined ? view.slice(number) : Buffer.from(value);
  const createdAt = view.timestamp(RECORD_FIELD.createdAt);
  const updatedAt = view.timestamp(RECORD_FIELD.updatedAt);
  const metadata = view.slice(RECORD_FIELD.metadata);
  return {
    sourceType: view.slice(RECORD_FIELD.sourceType),
    sourceId: view.slice(RECORD_FIELD.sourceId),
    dataId: field(changed?.dataId, RECORD_FIELD.dataId),
    data: field(changed?.data, RECORD_FIELD.data),
    metadataJson:
      changed?.metadataJson ?? (metadata.length === 0 ? "{}" : structToJson(metadata, LIMITS.metadataDepth)),
    metadataType: field(changed?.metadataType, RECORD_FIELD.metadataType),
    lang: field(changed?.lang, RECORD_FIELD.lang),
    attributesJson: changed?.attributesJson ?? attributesToJson(view.attributes()),
    rawPayload: changed?.dropRawPayload ? undefined : view.rawPayload(),
    createdAtUs: createdAt === undefined ? undefined : timestampUs(createdAt),
    updatedAtUs: updatedAt === undefined ? undefined : timestampUs(updatedAt),
  };
}
