export const UUID_BYTES = 16;
export const UUID_TEXT_BYTES = 36;

const DASH = 0x2d;
/** Where the two digits of each byte stand in the text: dashes come after bytes 4, 6, 8 and 10. */
const PLACES = [0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34] as const;
const DASHES = [8, 13, 18, 23] as const;
const NO_DIGIT = 0xff;
/** By ASCII character, in either case. */
const DIGITS = Uint8Array.from({ length: 256 }, (_, character) => {
  const digit = Number.parseInt(String.fromCharCode(character), 16);
  return Number.isNaN(digit) ? NO_DIGIT : digit;
});
/** By byte, the ASCII characters of its two digits. */
const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"));
const HIGH_DIGITS = Uint8Array.from(HEX, (hex) => hex.charCodeAt(0));
const LOW_DIGITS = Uint8Array.from(HEX, (hex) => hex.charCodeAt(1));

/** The 16 bytes of a uuid in its canonical 36-character form; undefined for any other form, nil and max. */
export function parseUuid(text: string): Buffer | undefined {
  return text.length === UUID_TEXT_BYTES ? readUuid(Buffer.from(text)) : undefined;
}

/** The same of the text in `bytes` from `start` to `end`. */
export function readUuid(bytes: Uint8Array, start = 0, end: number = bytes.length): Buffer | undefined {
  if (end - start !== UUID_TEXT_BYTES) return undefined;
  for (const at of DASHES) if (bytes[start + at] !== DASH) return undefined;
  const uuid = Buffer.allocUnsafe(UUID_BYTES);
  let everyBit = 0xff;
  let anyBit = 0;
  for (let i = 0; i < UUID_BYTES; i++) {
    const at = start + PLACES[i]!;
    const high = DIGITS[bytes[at]!]!;
    const low = DIGITS[bytes[at + 1]!]!;
    if (high === NO_DIGIT || low === NO_DIGIT) return undefined;
    const byte = (high << 4) | low;
    uuid[i] = byte;
    everyBit &= byte;
    anyBit |= byte;
  }
  const isNilOrMax = anyBit === 0 || everyBit === 0xff;
  return isNilOrMax ? undefined : uuid;
}

/** The canonical lower-case form of the 16 bytes at `offset`. */
export function formatUuid(bytes: Uint8Array, offset = 0): string {
  writeUuid(text, 0, bytes, offset);
  return text.toString("latin1");
}

const text = Buffer.allocUnsafe(UUID_TEXT_BYTES);

/** The same into `target` from `at` on: 36 bytes. */
export function writeUuid(target: Uint8Array, at: number, bytes: Uint8Array, offset = 0): void {
  for (let i = 0; i < UUID_BYTES; i++) {
    const byte = bytes[offset + i]!;
    const place = at + PLACES[i]!;
    target[place] = HIGH_DIGITS[byte]!;
    target[place + 1] = LOW_DIGITS[byte]!;
  }
  for (const place of DASHES) target[at + place] = DASH;
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
