import { FLAG, FRAME, FRAME_HEADER_BYTES, writeFrameHeader } from "./http2-frames.ts";

/** Told of what comes back. */
export interface CallHandlers {
  /** The bytes are valid until it returns. */
  onMessage(message: Buffer): void;
  /** Once, last. @param status gRPC's code */
  onEnd(status: number): void;
}

/** A message on its way out. */
export interface Outgoing {
  bytes: Uint8Array;
  /** How far it has been sent. */
  at: number;
  /** What stands before it in its first frame, as long as that hasn't been sent. */
  prefixBytes: number;
  isLast: boolean;
}

/** A part of a message as a DATA frame. */
export interface DataFrame {
  /** The frame's header and what follows it, but for the body. */
  head: Buffer;
  /** Undefined where the head has it all. */
  body: Uint8Array | undefined;
  /** Counts against the windows. */
  payloadBytes: number;
}

/** Before each message: whether it is compressed, and its length. */
export const PREFIX_BYTES = 5;
/** Up to this it is cheaper to copy a part behind its header than to hand it to the socket as it is. */
const COPIED_BYTES = 4096;
const NOTHING = Buffer.alloc(0);

/** One call, as far as its connection keeps books of it. */
export class GrpcCall {
  /** 0 until it is opened. */
  stream = 0;
  readonly handlers: CallHandlers;
  readonly outgoing: Outgoing[] = [];
  /** Bytes that the server still takes on this stream. */
  windowBytes = 0;
  /** The beginning of a message whose end has not come yet. */
  #rest = NOTHING;

  constructor(handlers: CallHandlers) {
    this.handlers = handlers;
  }

  /** Takes the content of a DATA frame; frames and messages know nothing of each other's limits. */
  receive(data: Buffer): void {
    let bytes = this.#rest.length === 0 ? data : Buffer.concat([this.#rest, data]);
    while (bytes.length >= PREFIX_BYTES) {
      const end = PREFIX_BYTES + bytes.readUInt32BE(1);
      if (end > bytes.length) break;
      this.handlers.onMessage(bytes.subarray(PREFIX_BYTES, end));
      bytes = bytes.subarray(end);
    }
    this.#rest = bytes.length === 0 ? NOTHING : Buffer.from(bytes);
  }

  /** Takes the next part of what is outgoing, of at most so many bytes with its prefix. */
  nextFrame(maxPayloadBytes: number): DataFrame {
    const message = this.outgoing[0]!;
    const { bytes, at, prefixBytes, isLast } = message;
    const part = bytes.subarray(at, at + maxPayloadBytes - prefixBytes);
    message.at += part.length;
    message.prefixBytes = 0;
    const isDone = message.at === bytes.length;
    if (isDone) this.outgoing.shift();
    const payloadBytes = prefixBytes + part.length;
    this.windowBytes -= payloadBytes;
    const isCopied = part.length <= COPIED_BYTES;
    const headBytes = FRAME_HEADER_BYTES + prefixBytes;
    const head = Buffer.allocUnsafe(headBytes + (isCopied ? part.length : 0));
    const flags = isDone && isLast ? FLAG.endStream : 0;
    const start = writeFrameHeader(head, 0, { payloadBytes, type: FRAME.data, flags, stream: this.stream });
    if (prefixBytes > 0) {
      head[start] = 0;
      head.writeUInt32BE(bytes.length, start + 1);
    }
    if (isCopied) head.set(part, headBytes);
    return { head, body: isCopied ? undefined : part, payloadBytes };
  }
}
