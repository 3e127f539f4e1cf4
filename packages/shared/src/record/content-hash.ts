import { hash } from "node:crypto";
import { RECORD_FIELD, type RecordView } from "./record-view.ts";

/** Bytes of a content hash and of a fingerprint: SHA-256 cut to 128 bits. */
export const HASH_BYTES = 16;

let scratch: Buffer = Buffer.allocUnsafe(64 * 1024);

/** Concatenates parts, each behind its length, so that no two lists of parts give the same bytes; then hashes. */
function hashParts(parts: readonly (Buffer | string)[]): Buffer {
  let size = 0;
  for (const part of parts) size += 4 + (typeof part === "string" ? Buffer.byteLength(part) : part.length);
  if (size > scratch.length) scratch = Buffer.allocUnsafe(size * 2);
  let at = 0;
  for (const part of parts) {
    const length = typeof part === "string" ? scratch.write(part, at + 4) : part.copy(scratch, at + 4);
    scratch.writeUInt32LE(length, at);
    at += 4 + length;
  }
  return hash("sha256", scratch.subarray(0, at), "buffer").subarray(0, HASH_BYTES);
}

/**
 * The canonical hash of what the source said: data, metadata, metadata_type, lang, attributes and the raw payload as
 * received. Uuid, times and what a pipeline adds are not part of it.
 *
 * @param metadataJson from `structToJson`, "{}" where there is no metadata
 * @param attributesJson from `attributesToJson`
 */
export function contentHash(view: RecordView, metadataJson: string, attributesJson: string): Buffer {
  const parts = [
    view.slice(RECORD_FIELD.data),
    metadataJson,
    view.slice(RECORD_FIELD.metadataType),
    view.slice(RECORD_FIELD.lang),
    attributesJson,
  ];
  const payload = view.rawPayload();
  if (payload !== undefined && payload.content.length + payload.contentType.length > 0)
    parts.push(payload.content, payload.contentType);
  return hashParts(parts);
}

/** What a fingerprint speaks of: a record under one key with one content, processed by one pipeline version. */
export interface FingerprintParts {
  tenantId: string;
  sourceType: Buffer;
  sourceId: Buffer;
  dataId: Buffer | string;
  versionUs: bigint;
  contentHash: Buffer;
  pipelineVersion: bigint;
}

const numbers = Buffer.allocUnsafe(16);

/** The 128-bit fingerprint under which dedup remembers a committed record. */
export function recordFingerprint(parts: FingerprintParts): Buffer {
  numbers.writeBigInt64LE(parts.versionUs, 0);
  numbers.writeBigInt64LE(parts.pipelineVersion, 8);
  return hashParts([
    parts.tenantId,
    parts.sourceType,
    parts.sourceId,
    parts.dataId,
    parts.contentHash,
    numbers,
  ]);
}
