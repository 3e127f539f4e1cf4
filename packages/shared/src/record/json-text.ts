import { isUtf8 } from "node:buffer";
import type { ByteWriter } from "./byte-writer.ts";

/** What keeps bytes from being a text in JSON that PostgreSQL can hold. */
export type TextProblem = "invalid_utf8" | "nul_character";

const QUOTE = 0x22;
/** A control character becomes six bytes, as in \u001f. */
const MOST_BYTES_PER_BYTE = 6;

/** By byte: how JSON.stringify writes a character that can't stand for itself. */
const ESCAPES: readonly (string | undefined)[] = Array.from({ length: 256 }, (_, byte) => {
  if (byte >= 0x80) return undefined;
  const written = JSON.stringify(String.fromCharCode(byte)).slice(1, -1);
  return written.length === 1 ? undefined : written;
});

/**
 * Writes the UTF-8 in `source` from `start` to `end` as a JSON string: the bytes of JSON.stringify. Where it can't be one, says
 * why; then what has been written is of no use.
 */
export function writeJsonText(
  out: ByteWriter,
  source: Buffer,
  start: number,
  end: number,
): TextProblem | undefined {
  const bytes = out.reserve(MOST_BYTES_PER_BYTE * (end - start) + 2);
  let at = out.length;
  let allBits = 0;
  let hasNul = false;
  bytes[at++] = QUOTE;
  for (let i = start; i < end; i++) {
    const byte = source[i]!;
    allBits |= byte;
    const escaped = ESCAPES[byte];
    if (escaped === undefined) {
      bytes[at++] = byte;
    } else {
      hasNul ||= byte === 0;
      at += bytes.write(escaped, at, "latin1");
    }
  }
  bytes[at++] = QUOTE;
  out.length = at;
  if (allBits >= 0x80 && !isUtf8(source.subarray(start, end))) return "invalid_utf8";
  return hasNul ? "nul_character" : undefined;
}
