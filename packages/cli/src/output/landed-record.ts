import { type JsonObject, type JsonValue, toJson } from "@bufbuild/protobuf";
import { IngestionDataSchema } from "@chowhound/shared/contracts/chowhound/v1/ingestion_data";
import type { LandedRecord } from "@chowhound/shared/contracts/chowhound/v1/query_service";
import { formatTimestamp } from "../proto-time.ts";

/** A landed record as a flat row, in the order in which it is shown. `metadata` and `attributes` are JSON. */
export interface LandedRow {
  sourceType: string;
  sourceId: string;
  dataId: string;
  uuid: string;
  version: string;
  storedAt: string;
  acceptedAt: string;
  createdAt: string;
  updatedAt: string;
  pipelineVersion: string;
  lang: string;
  metadataType: string;
  receiptId: string;
  traceId: string;
  data: string;
  metadata: JsonValue | undefined;
  attributes: JsonObject;
}

export function toLandedRow(landed: LandedRecord): LandedRow {
  const { record } = landed;
  const json = record === undefined ? {} : (toJson(IngestionDataSchema, record) as JsonObject);
  return {
    sourceType: record?.sourceType ?? "",
    sourceId: record?.sourceId ?? "",
    dataId: record?.dataId ?? "",
    uuid: record?.uuid ?? "",
    version: formatTimestamp(landed.version),
    storedAt: formatTimestamp(landed.storedAt),
    acceptedAt: formatTimestamp(landed.acceptedAt),
    createdAt: formatTimestamp(record?.createdAt),
    updatedAt: formatTimestamp(record?.updatedAt),
    pipelineVersion: String(landed.pipelineVersion),
    lang: record?.lang ?? "",
    metadataType: record?.metadataType ?? "",
    receiptId: landed.receiptId,
    traceId: landed.traceId,
    data: record?.data ?? "",
    metadata: json.metadata,
    attributes: record?.attributes ?? {},
  };
}
