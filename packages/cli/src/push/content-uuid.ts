import { hash } from "node:crypto";
import { formatUuid } from "@chowhound/shared/record/uuid";

/**
 * A uuid made of a record's bytes (version 8 of RFC 9562: SHA-256, cut). It holds no time, so it orders nothing: a random
 * version 7 uuid would pass for the time of a record that has none.
 */
export function contentUuid(record: Uint8Array): string {
  const bytes = hash("sha256", record, "buffer").subarray(0, 16);
  bytes[6] = (bytes[6]! & 0x0f) | 0x80;
  bytes[8] = (bytes[8]! & 0x3f) | 0x80;
  return formatUuid(bytes);
}
