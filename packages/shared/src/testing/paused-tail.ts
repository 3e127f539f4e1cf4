import { type ClientHttp2Stream, connect } from "node:http2";
import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import {
  TailRequestSchema,
  type TailResponse,
  TailResponseSchema,
  TapService,
} from "@chowhound/shared/contracts/chowhound/v1/tap_service";

/** A reader of a tap that decides itself when it reads: until then HTTP/2 lets the server send no more than a window. */
export interface PausedTail {
  /** Reads on, and resolves with all that came, once `isEnough` says so or the call has ended. */
  readUntil(isEnough: (responses: readonly TailResponse[]) => boolean): Promise<TailResponse[]>;
  /** Resolves when the call has ended or the connection is gone. */
  ended: Promise<void>;
  close(): void;
}

/** Opens a tap without gRPC's client, which would read whether it is asked to or not. */
export async function openPausedTail(
  address: string,
  request: MessageInitShape<typeof TailRequestSchema> = {},
): Promise<PausedTail> {
  const session = connect(`http://${address}`);
  session.on("error", () => {});
  const stream = session.request({
    ":method": "POST",
    ":path": `/${TapService.typeName}/Tail`,
    "content-type": "application/grpc",
    te: "trailers",
  });
  stream.on("error", () => {});
  stream.end(frame(toBinary(TailRequestSchema, create(TailRequestSchema, request))));
  await new Promise((resolve) => stream.once("response", resolve));
  const ended = new Promise<void>((resolve) => stream.once("close", () => resolve()));
  return { readUntil: (isEnough) => readUntil(stream, isEnough), ended, close: () => session.destroy() };
}

function readUntil(
  stream: ClientHttp2Stream,
  isEnough: (responses: readonly TailResponse[]) => boolean,
): Promise<TailResponse[]> {
  const responses: TailResponse[] = [];
  let rest = Buffer.alloc(0);
  return new Promise((resolve) => {
    const done = (): void => {
      stream.pause();
      resolve(responses);
    };
    stream.on("end", done);
    stream.on("data", (chunk: Buffer) => {
      rest = Buffer.concat([rest, chunk]);
      while (rest.length >= 5 && rest.length >= 5 + rest.readUInt32BE(1)) {
        const end = 5 + rest.readUInt32BE(1);
        responses.push(fromBinary(TailResponseSchema, rest.subarray(5, end)));
        rest = rest.subarray(end);
      }
      if (isEnough(responses)) done();
    });
  });
}

/** A message as gRPC puts it on the wire. */
function frame(message: Uint8Array): Buffer {
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(message.length, 1);
  return Buffer.concat([prefix, message]);
}
