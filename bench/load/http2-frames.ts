/** The little of HTTP/2's framing that a load generator needs. RFC 9113, section 4 and 6. */

export const FRAME = {
  data: 0,
  headers: 1,
  rstStream: 3,
  settings: 4,
  ping: 6,
  goAway: 7,
  windowUpdate: 8,
  continuation: 9,
} as const;
export const FLAG = { endStream: 0x1, ack: 0x1, endHeaders: 0x4, padded: 0x8, priority: 0x20 } as const;
export const SETTING = {
  headerTableSize: 1,
  maxConcurrentStreams: 3,
  initialWindowSize: 4,
  maxFrameSize: 5,
} as const;

export const FRAME_HEADER_BYTES = 9;
export const PREFACE = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

export interface Frame {
  type: number;
  flags: number;
  stream: number;
  /** Valid until the reader is fed again. */
  payload: Buffer;
}

/** Writes the nine bytes before a frame's payload. Returns where that begins. */
export function writeFrameHeader(
  out: Buffer,
  at: number,
  {
    payloadBytes,
    type,
    flags,
    stream,
  }: { payloadBytes: number; type: number; flags: number; stream: number },
): number {
  out.writeUIntBE(payloadBytes, at, 3);
  out[at + 3] = type;
  out[at + 4] = flags;
  out.writeUInt32BE(stream, at + 5);
  return at + FRAME_HEADER_BYTES;
}

export function encodeFrame(type: number, flags: number, stream: number, payload: Uint8Array): Buffer {
  const frame = Buffer.allocUnsafe(FRAME_HEADER_BYTES + payload.length);
  frame.set(payload, writeFrameHeader(frame, 0, { payloadBytes: payload.length, type, flags, stream }));
  return frame;
}

export function encodeSettings(settings: readonly (readonly [id: number, value: number])[]): Buffer {
  const payload = Buffer.alloc(settings.length * 6);
  settings.forEach(([id, value], i) => {
    payload.writeUInt16BE(id, i * 6);
    payload.writeUInt32BE(value, i * 6 + 2);
  });
  return encodeFrame(FRAME.settings, 0, 0, payload);
}

export function encodeWindowUpdate(stream: number, bytes: number): Buffer {
  const payload = Buffer.alloc(4);
  payload.writeUInt32BE(bytes);
  return encodeFrame(FRAME.windowUpdate, 0, stream, payload);
}

export function* decodeSettings(payload: Buffer): Generator<readonly [id: number, value: number]> {
  for (let at = 0; at + 6 <= payload.length; at += 6)
    yield [payload.readUInt16BE(at), payload.readUInt32BE(at + 2)];
}

/** A frame's content without padding and priority. */
export function unpadded({ flags, payload, type }: Frame): Buffer {
  const isPadded = (flags & FLAG.padded) !== 0;
  const start = (isPadded ? 1 : 0) + (type === FRAME.headers && (flags & FLAG.priority) !== 0 ? 5 : 0);
  return payload.subarray(start, payload.length - (isPadded ? payload[0]! : 0));
}

/** Cuts what comes from a socket into frames; copies each byte once. */
export class FrameReader {
  #buffer = Buffer.allocUnsafe(256 * 1024);
  #length = 0;

  feed(chunk: Uint8Array, onFrame: (frame: Frame) => void): void {
    this.#append(chunk);
    const buffer = this.#buffer;
    let at = 0;
    while (this.#length - at >= FRAME_HEADER_BYTES) {
      const end = at + FRAME_HEADER_BYTES + buffer.readUIntBE(at, 3);
      if (end > this.#length) break;
      const stream = buffer.readUInt32BE(at + 5) & 0x7fffffff;
      const payload = buffer.subarray(at + FRAME_HEADER_BYTES, end);
      onFrame({ type: buffer[at + 3]!, flags: buffer[at + 4]!, stream, payload });
      at = end;
    }
    if (at > 0) buffer.copyWithin(0, at, this.#length);
    this.#length -= at;
  }

  #append(chunk: Uint8Array): void {
    const length = this.#length + chunk.length;
    if (length > this.#buffer.length) {
      const larger = Buffer.allocUnsafe(length * 2);
      this.#buffer.copy(larger, 0, 0, this.#length);
      this.#buffer = larger;
    }
    this.#buffer.set(chunk, this.#length);
    this.#length = length;
  }
}
