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
  isLast: boolean;
}

/** Before each message: whether it is compressed, and its length. */
export const PREFIX_BYTES = 5;
const NOTHING = Buffer.alloc(0);

/** One call, as far as its connection keeps books of it. */
export class GrpcCall {
  readonly stream: number;
  readonly handlers: CallHandlers;
  readonly outgoing: Outgoing[] = [];
  /** Bytes that the server still takes on this stream. */
  windowBytes: number;
  /** The beginning of a message whose end has not come yet. */
  #rest = NOTHING;

  constructor(stream: number, windowBytes: number, handlers: CallHandlers) {
    this.stream = stream;
    this.windowBytes = windowBytes;
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
}

/** The bytes before a message that isn't compressed. */
export function writePrefix(out: Buffer, at: number, messageBytes: number): void {
  out[at] = 0;
  out.writeUInt32BE(messageBytes, at + 1);
}
