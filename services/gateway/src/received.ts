import type { ServerInterceptingCallInterface } from "@grpc/grpc-js";

/**
 * A message of a call, to be taken once. Node keeps an HTTP/2 stream that is over until the next full collection, with all that hangs on it, and
 * grpc-js hangs on it what the call has sent. So it gets this instead, which is empty once the message is taken: full collections come when
 * buffers have added up, and while one goes on everybody waits.
 */
export class Received {
  #bytes: Buffer | undefined;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  /** Throws where it was taken before. */
  take(): Buffer {
    const bytes = this.#bytes;
    if (bytes === undefined) throw new Error("a message was taken twice");
    this.#bytes = undefined;
    return bytes;
  }
}

/** Not in the types: what puts messages together from frames. */
interface WithDecoder {
  decoder?: { readState: number; readPartialMessage: Buffer[]; readCompressFlag: Buffer };
}

/** grpc-js' state between two messages. */
const NO_DATA = 0;
const NOTHING = Buffer.alloc(1);

/** Lets go of the frames of the last message, which has been put together: for a call that sends no further one. */
export function forgetFrames(call: ServerInterceptingCallInterface): void {
  const { decoder } = call as WithDecoder;
  if (decoder?.readState !== NO_DATA) return;
  decoder.readPartialMessage = [];
  decoder.readCompressFlag = NOTHING;
}
