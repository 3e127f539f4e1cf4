import { type AddressInfo, createServer } from "node:net";
import {
  Client,
  credentials,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServerInterceptor,
  type ServerUnaryCall,
  type sendUnaryData,
} from "@grpc/grpc-js";
import { afterEach, describe, expect, it } from "vitest";
import { guard } from "./grpc-guard.ts";
import { Received } from "./received.ts";

const bytes = (value: Buffer): Buffer => value;
const method = (name: string, isStream: boolean) => ({
  path: `/test.Echo/${name}`,
  requestStream: isStream,
  responseStream: isStream,
  requestSerialize: bytes,
  requestDeserialize: bytes,
  responseSerialize: bytes,
  responseDeserialize: bytes,
});

const opened: { close(): void }[] = [];
afterEach(() => {
  for (const each of opened.splice(0)) each.close();
});

/** What the library holds of a call: not in its types. */
interface Decoder {
  readPartialMessage: Buffer[];
  readCompressFlag: Buffer;
}

/** A server that echoes, behind the guard, and a client of it. Notes the library's own object of each call. */
async function openEcho() {
  const decoders: Decoder[] = [];
  const note: ServerInterceptor = (_, call) => {
    decoders.push((call as unknown as { decoder: Decoder }).decoder);
    return call as ReturnType<ServerInterceptor>;
  };
  const server = new Server({ interceptors: [note, guard(["test.Echo"], () => {})] });
  server.addService(
    { one: method("one", false), many: method("many", true) },
    {
      one: (call: ServerUnaryCall<Received, Buffer>, callback: sendUnaryData<Buffer>) =>
        callback(null, call.request.take()),
      many: (call: ServerDuplexStream<Received, Buffer>) => {
        call.on("data", (message: Received) => call.write(message.take()));
        call.on("end", () => call.end());
      },
    },
  );
  const port = await freePort();
  await new Promise<void>((resolve, reject) =>
    server.bindAsync(`127.0.0.1:${port}`, ServerCredentials.createInsecure(), (error) =>
      error === null ? resolve() : reject(error),
    ),
  );
  const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure());
  opened.push(client, { close: () => server.forceShutdown() });
  return { client, decoders };
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

describe("what a call has sent", () => {
  it("is handed over once", () => {
    const received = new Received(Buffer.from("a"));
    expect(received.take().toString()).toBe("a");
    expect(() => received.take()).toThrow("twice");
  });

  it("is not kept by the library once it is handed over", async () => {
    const { client, decoders } = await openEcho();
    // In several frames.
    const message = Buffer.alloc(100_000, "x");
    const answer = await new Promise<Buffer>((resolve, reject) =>
      client.makeUnaryRequest("/test.Echo/one", bytes, bytes, message, (error, value) =>
        error === null ? resolve(value!) : reject(error),
      ),
    );
    expect(answer.equals(message)).toBe(true);
    expect(decoders).toHaveLength(1);
    expect(decoders[0]!.readPartialMessage).toEqual([]);
    // A view of the first frame, where it is the library's own.
    expect(decoders[0]!.readCompressFlag.buffer.byteLength).toBeLessThan(10_000);
  });

  it("comes through whole, message by message, on a stream", async () => {
    const { client } = await openEcho();
    const call = client.makeBidiStreamRequest("/test.Echo/many", bytes, bytes);
    const answers: string[] = [];
    call.on("data", (message: Buffer) => answers.push(`${message.length}${message.subarray(0, 1)}`));
    for (const [i, text] of [..."abcde"].entries()) call.write(Buffer.alloc(i * 40_000 + 1, text));
    call.end();
    await new Promise((resolve) => call.once("end", resolve));
    expect(answers).toEqual(["1a", "40001b", "80001c", "120001d", "160001e"]);
  });
});
