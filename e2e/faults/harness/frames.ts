/** One whole message of a protocol as it crosses the wire. */
export interface Frame {
  bytes: Buffer;
  /** What it is, in the protocol's own words: "PUB chowhound.raw.0", "Query commit", "CommandComplete COMMIT". */
  label: string;
  /** What it carries, where it carries something. */
  payload: Buffer;
}

/** Cuts one direction of one connection into frames; keeps what isn't whole yet. */
export interface Splitter {
  push(chunk: Buffer): Frame[];
}

export type Direction = "toServer" | "toClient";

/** A splitter for a new connection. */
export type Protocol = (direction: Direction) => Splitter;

/** A splitter of any protocol whose next frame can be read off the start of a buffer. */
export function splitWith(readFrame: (buffer: Buffer) => Frame | undefined): Splitter {
  let rest: Buffer = Buffer.alloc(0);
  return {
    push(chunk) {
      rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
      const frames: Frame[] = [];
      for (;;) {
        const frame = readFrame(rest);
        if (frame === undefined) return frames;
        frames.push(frame);
        rest = rest.subarray(frame.bytes.length);
      }
    },
  };
}
