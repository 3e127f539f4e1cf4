/**
 * What a record and a call may hold. Lengths are bytes of UTF-8 unless the name says otherwise.
 *
 * The key fields together stay below what a PostgreSQL index entry can hold (about 2,700 bytes).
 */
export const LIMITS = {
  /** One encoded record. Also bounded by the NATS server's max_payload, see `recordBytesLimit`. */
  recordBytes: 1024 * 1024,
  /** One call, or one batch on a stream, encoded. */
  callBytes: 4 * 1024 * 1024,
  callRecords: 5_000,
  tenantIdBytes: 63,
  sourceTypeBytes: 128,
  sourceIdBytes: 512,
  dataIdBytes: 1024,
  metadataTypeBytes: 256,
  langBytes: 35,
  metadataBytes: 512 * 1024,
  metadataDepth: 32,
  attributeCount: 64,
  attributeKeyBytes: 128,
  attributeValueBytes: 4096,
  contentTypeBytes: 256,
  /** How far from now a record's time may lie in the future: a bad clock must not own a key for ever. */
  futureMs: 5 * 60_000,
  /** 1900-01-01T00:00:00Z, the earliest time a record may carry, in microseconds. */
  earliestUs: Date.UTC(1900, 0, 1) * 1000,
} as const;

/** The form of a language: a BCP 47 tag, roughly. */
export const LANG_PATTERN = /^[A-Za-z0-9]+(-[A-Za-z0-9]+)*$/;

/** The form of a tenant's id. */
export const TENANT_ID_PATTERN = /^[a-z0-9][a-z0-9_-]{0,62}$/;

/**
 * The largest encoded record that fits a NATS message of `maxPayloadBytes` with room for the envelope and for what
 * the enricher adds (at most as much again).
 */
export function recordBytesLimit(maxPayloadBytes: number): number {
  return Math.min(LIMITS.recordBytes, Math.floor((maxPayloadBytes - 64 * 1024) / 2));
}
