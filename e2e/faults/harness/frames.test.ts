import fc from "fast-check";
import { expect, test } from "vitest";
import type { Direction, Frame, Protocol } from "./frames.ts";
import { natsProtocol } from "./nats-frames.ts";
import { postgresProtocol } from "./postgres-frames.ts";

/** What a splitter makes of bytes that arrive in pieces. */
function split(protocol: Protocol, direction: Direction, bytes: Buffer, pieces: readonly number[]): Frame[] {
  const splitter = protocol(direction);
  const frames: Frame[] = [];
  let start = 0;
  for (const size of [...pieces, bytes.length]) {
    frames.push(...splitter.push(bytes.subarray(start, start + size)));
    start += size;
  }
  return frames;
}

const natsTalk = Buffer.from(
  [
    'CONNECT {"verbose":false}',
    "PING",
    "PUB chowhound.raw.0 _INBOX.a.b 5\r\na\r\nbc",
    "HPUB chowhound.raw.0 _INBOX.a.c 12 17\r\nNATS/1.0\r\n\r\nhello",
    "PUB $JS.ACK.chowhound-raw.enricher.1.2.3.4.5 4\r\n+ACK",
    "",
  ].join("\r\n"),
);

function message(type: string, body: string): Buffer {
  const bytes = Buffer.alloc(5 + Buffer.byteLength(body));
  bytes.write(type, "latin1");
  bytes.writeInt32BE(bytes.length - 1, 1);
  bytes.write(body, 5);
  return bytes;
}

const startup = message("X", "user\0postgres\0\0").subarray(1);
const postgresTalk = Buffer.concat([
  startup,
  message("Q", "begin\0"),
  message("B", "\0upsert\0"),
  message("d", "bytes"),
  message("Q", "commit\0"),
]);
const postgresAnswer = Buffer.concat([message("C", "COMMIT\0"), message("Z", "I")]);

test.each([
  [
    "what a NATS client says",
    natsProtocol,
    "toServer",
    natsTalk,
    [
      ["CONNECT", ""],
      ["PING", ""],
      ["PUB chowhound.raw.0", "a\r\nbc"],
      ["PUB chowhound.raw.0", "hello"],
      ["PUB $JS.ACK.chowhound-raw.enricher.1.2.3.4.5", "+ACK"],
    ],
  ],
  [
    "what a PostgreSQL client says",
    postgresProtocol,
    "toServer",
    postgresTalk,
    [
      ["Startup", ""],
      ["Query begin", "begin\0"],
      ["Bind upsert", "\0upsert\0"],
      ["CopyData", "bytes"],
      ["Query commit", "commit\0"],
    ],
  ],
  [
    "what PostgreSQL answers",
    postgresProtocol,
    "toClient",
    postgresAnswer,
    [
      ["CommandComplete COMMIT", "COMMIT\0"],
      ["ReadyForQuery", "I"],
    ],
  ],
] as const)(
  "%s is cut into its messages, however it arrives",
  (_what, protocol, direction, bytes, expected) => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 20 }), { maxLength: 20 }), (pieces) => {
        const frames = split(protocol, direction, bytes, pieces);
        expect(frames.map(({ label, payload }) => [label, payload.toString()])).toEqual(expected);
        expect(Buffer.concat(frames.map((frame) => frame.bytes))).toEqual(bytes);
      }),
    );
  },
);
