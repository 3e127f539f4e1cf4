import {
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServerUnaryCall,
  type sendUnaryData,
  status,
} from "@grpc/grpc-js";
import { afterAll, beforeAll, expect, test } from "vitest";
import { GrpcConnection } from "./grpc-connection.ts";
import { encodeAuthorization } from "./grpc-headers.ts";

const raw = (bytes: Buffer): Buffer => bytes;
const method = (name: string, isStream: boolean) => ({
  path: `/test.Echo/${name}`,
  requestStream: isStream,
  responseStream: isStream,
  requestSerialize: raw,
  requestDeserialize: raw,
  responseSerialize: raw,
  responseDeserialize: raw,
});
const FAILING = Buffer.from("fail");
// Longer than a length of 7 bits.
const KEY = "k".repeat(200);

let server: Server;
let address: string;
beforeAll(async () => {
  server = new Server({ "grpc.max_receive_message_length": 2 ** 24, "grpc.max_concurrent_streams": 8 });
  server.addService(
    { echo: method("Echo", false), echoStream: method("EchoStream", true) },
    {
      echo: (call: ServerUnaryCall<Buffer, Buffer>, callback: sendUnaryData<Buffer>) => {
        if (call.metadata.get("authorization")[0] !== `Bearer ${KEY}`)
          return callback({ code: status.UNAUTHENTICATED, details: "who is it?" });
        if (call.request.equals(FAILING))
          return callback({ code: status.RESOURCE_EXHAUSTED, details: "full" });
        callback(null, call.request);
      },
      echoStream: (call: ServerDuplexStream<Buffer, Buffer>) => {
        call.on("data", (message: Buffer) => call.write(message));
        call.on("end", () => call.end());
      },
    },
  );
  address = await new Promise((resolve, reject) =>
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, port) =>
      error === null ? resolve(`127.0.0.1:${port}`) : reject(error),
    ),
  );
});
afterAll(() => server.forceShutdown());

/** The messages that come back, and the status. */
function play(
  connection: GrpcConnection,
  messages: readonly Buffer[],
  key = KEY,
): Promise<{ answers: Buffer[]; code: number }> {
  return new Promise((resolve) => {
    const answers: Buffer[] = [];
    const isLast = (i: number): boolean => i === messages.length - 1;
    const call = connection.call(encodeAuthorization(key), messages[0]!, isLast(0), {
      onMessage: (message) => answers.push(Buffer.from(message)),
      onEnd: (code) => resolve({ answers, code }),
    });
    for (let i = 1; i < messages.length; i++) connection.send(call, messages[i]!, isLast(i));
  });
}

test("calls at the same time, small ones and such as need the server's windows many times over", async () => {
  const connection = await GrpcConnection.open(address, "/test.Echo/Echo");
  const requests = [1, 10, 5_000, 16_379, 16_380, 300_000, 3_000_000].map((size) => Buffer.alloc(size, size));
  const results = await Promise.all(requests.map((request) => play(connection, [request])));
  results.forEach(({ answers, code }, i) => {
    expect(code).toBe(status.OK);
    expect(answers).toHaveLength(1);
    expect(answers[0]!.equals(requests[i]!)).toBe(true);
  });
  connection.close();
});

test("far more calls at once than the server takes at a time", async () => {
  const connection = await GrpcConnection.open(address, "/test.Echo/Echo");
  const results = await Promise.all(
    Array.from({ length: 300 }, (_, i) => play(connection, [Buffer.alloc(4, i)])),
  );
  expect(results.map(({ code }) => code)).toEqual(Array(300).fill(status.OK));
  connection.close();
});

test("the status of a call that fails, and the calls after it", async () => {
  const connection = await GrpcConnection.open(address, "/test.Echo/Echo");
  expect(await play(connection, [FAILING])).toEqual({ answers: [], code: status.RESOURCE_EXHAUSTED });
  const withAnotherKey = await play(connection, [FAILING], "other");
  expect(withAnotherKey).toEqual({ answers: [], code: status.UNAUTHENTICATED });
  expect((await play(connection, [Buffer.from("fine")])).code).toBe(status.OK);
  connection.close();
});

test("a stream of messages", async () => {
  const connection = await GrpcConnection.open(address, "/test.Echo/EchoStream");
  const messages = Array.from({ length: 200 }, (_, i) => Buffer.alloc(1 + i * 150, i));
  const { answers, code } = await play(connection, messages);
  expect(code).toBe(status.OK);
  expect(Buffer.concat(answers).equals(Buffer.concat(messages))).toBe(true);
  expect(answers).toHaveLength(messages.length);
  connection.close();
});

test("a connection that ends ends its calls", async () => {
  const connection = await GrpcConnection.open(address, "/test.Echo/Echo");
  const call = play(connection, [Buffer.alloc(100_000)]);
  connection.close();
  expect((await call).code).toBe(status.CANCELLED);
  expect((await play(connection, [Buffer.alloc(1)])).code).toBe(status.CANCELLED);
});
