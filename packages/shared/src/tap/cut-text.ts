const encoder = new TextEncoder();

/** The beginning of a text, at most so many bytes of UTF-8 and never half of a character. A copy of its own. */
export function cutText(text: string, maxBytes: number): string {
  if (text === "") return "";
  const bytes = Buffer.allocUnsafe(Math.min(maxBytes, text.length * 3));
  // A copy: a part of a text would keep the whole alive.
  return bytes.toString("utf8", 0, encoder.encodeInto(text, bytes).written);
}

/** As `cutText`, of encoded text. Bytes that are not UTF-8 become U+FFFD. */
export function cutBytes(bytes: Buffer, maxBytes: number): string {
  if (bytes.length <= maxBytes) return cutText(bytes.toString(), maxBytes);
  let end = maxBytes;
  while (end > 0 && (bytes[end]! & 0xc0) === 0x80) end--;
  return cutText(bytes.toString("utf8", 0, end), maxBytes);
}
