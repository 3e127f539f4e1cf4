const UUID_PATTERN = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;
const NIL = "0".repeat(32);
const MAX = "f".repeat(32);

export const UUID_BYTES = 16;

/** The 16 bytes of a uuid in its canonical 36-character form; undefined for any other form, nil and max. */
export function parseUuid(text: string): Buffer | undefined {
  if (text.length !== 36 || !UUID_PATTERN.test(text)) return undefined;
  const hex = text.replaceAll("-", "").toLowerCase();
  return hex === NIL || hex === MAX ? undefined : Buffer.from(hex, "hex");
}

/** The canonical lower-case form of the 16 bytes at `offset`. */
export function formatUuid(bytes: Uint8Array, offset = 0): string {
  const hex = Buffer.from(bytes.buffer, bytes.byteOffset + offset, UUID_BYTES).toString("hex");
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

/**
 * The time inside a version 7 uuid in whole microseconds since 1970; undefined for other versions. The 12 bits after
 * the milliseconds count as the fraction of the millisecond (RFC 9562, section 6.2, method 3).
 */
export function uuidV7Us(uuid: Uint8Array): number | undefined {
  if (uuid[6]! >>> 4 !== 7) return undefined;
  const ms =
    uuid[0]! * 2 ** 40 +
    ((uuid[1]! << 24) >>> 0) * 256 +
    ((uuid[2]! << 24) >>> 0) +
    (uuid[3]! << 16) +
    (uuid[4]! << 8) +
    uuid[5]!;
  const fraction = ((uuid[6]! & 0x0f) << 8) | uuid[7]!;
  return ms * 1000 + Math.floor((fraction * 1000) / 4096);
}
