import { once } from "node:events";
import { type IncomingMessage, request } from "node:http";
import { connect } from "node:net";
import { text } from "node:stream/consumers";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";
import { create, toBinary } from "@bufbuild/protobuf";
import { IngestionDataSchema } from "@chowhound/shared/contracts/chowhound/v1/ingestion_data";
import { IngestionService, RecordOutcome } from "@chowhound/shared/contracts/chowhound/v1/ingestion_service";
import { ErrorInfoSchema, RetryInfoSchema } from "@chowhound/shared/contracts/google/rpc/error_details";
import type { CallErrorReason } from "@chowhound/shared/errors/reasons";
import { LIMITS } from "@chowhound/shared/record/limits";
import { Code, ConnectError, createClient, type Transport } from "@connectrpc/connect";
import { compressionGzip, createConnectTransport, createGrpcWebTransport } from "@connectrpc/connect-node";
import { afterAll, beforeAll, describe, expect, inject, it } from "vitest";
import { encodeRequest, goodRecord, readRaw, startTestGateway, type TestGateway } from "./test-gateway.ts";

type Body = NonNullable<RequestInit["body"]>;

const PATH = "/chowhound.v1.IngestionService/Ingest";
let test: TestGateway;

beforeAll(async () => {
  test = await startTestGateway(inject("natsUrl"), { corsOrigins: ["https://ok.example"] });
  await test.started;
});
afterAll(() => test.stop());

async function post(body: Body, headers: Record<string, string> = {}): Promise<Response> {
  return await fetch(`${test.httpUrl}${PATH}`, {
    method: "POST",
    headers: { "content-type": "application/json", authorization: `Bearer ${test.acmeKey}`, ...headers },
    body,
    duplex: "half",
  });
}

const jsonRecord = (dataId: string, more: object = {}) => ({
  sourceType: "host",
  sourceId: "web-1",
  dataId,
  data: "hello",
  updatedAt: new Date().toISOString(),
  ...more,
});

/** What a failed call said by Connect: its code, its reason and the message. */
async function describeFailure(response: Response) {
  const { code, message, details } = (await response.json()) as {
    code: string;
    message: string;
    details?: { type: string; debug: { reason: string } }[];
  };
  const info = details?.find(({ type }) => type === "google.rpc.ErrorInfo");
  return { code, message, reason: info?.debug.reason };
}

const COMPRESSED = { sendCompression: compressionGzip, compressMinBytes: 0 };

const TRANSPORTS: [name: string, make: (baseUrl: string) => Transport][] = [
  ["Connect", (baseUrl) => createConnectTransport({ baseUrl, httpVersion: "1.1" })],
  [
    "Connect with JSON",
    (baseUrl) => createConnectTransport({ baseUrl, httpVersion: "1.1", useBinaryFormat: false }),
  ],
  ["gRPC-Web", (baseUrl) => createGrpcWebTransport({ baseUrl, httpVersion: "1.1" })],
  [
    "gRPC-Web with JSON",
    (baseUrl) => createGrpcWebTransport({ baseUrl, httpVersion: "1.1", useBinaryFormat: false }),
  ],
  [
    "Connect, compressed",
    (baseUrl) => createConnectTransport({ ...COMPRESSED, baseUrl, httpVersion: "1.1" }),
  ],
  [
    "Connect with JSON, compressed",
    (baseUrl) =>
      createConnectTransport({ ...COMPRESSED, baseUrl, httpVersion: "1.1", useBinaryFormat: false }),
  ],
  [
    "gRPC-Web, compressed",
    (baseUrl) => createGrpcWebTransport({ ...COMPRESSED, baseUrl, httpVersion: "1.1" }),
  ],
];

describe.each(TRANSPORTS)("Ingest over %s", (_name, makeTransport) => {
  const headers = () => ({ authorization: `Bearer ${test.acmeKey}` });
  const client = () => createClient(IngestionService, makeTransport(test.httpUrl));

  it("answers with a receipt", async () => {
    const records = [goodRecord("one"), goodRecord("two", { sourceId: "" })];
    const { receipt } = await client().ingest({ records }, { headers: headers() });
    expect(receipt).toMatchObject({ accepted: 1, rejected: 1 });
    expect(receipt!.statuses[0]!.outcome).toBe(RecordOutcome.ACCEPTED);
    expect(receipt!.statuses[1]).toMatchObject({ reason: "missing_field", field: "source_id" });
  });

  it("refuses a bad key and an empty call, with their reasons", async () => {
    const refusals = [
      client().ingest({ records: [goodRecord("a")] }, { headers: { authorization: "Bearer chow_x" } }),
      client().ingest({ records: [] }, { headers: headers() }),
    ];
    const [unauthenticated, empty] = (await Promise.allSettled(refusals)).map((result) =>
      result.status === "rejected" ? ConnectError.from(result.reason) : undefined,
    );
    expect(unauthenticated).toMatchObject({ code: Code.Unauthenticated });
    expect(empty).toMatchObject({ code: Code.InvalidArgument });
    expect(empty!.findDetails(ErrorInfoSchema)).toMatchObject([
      { reason: "empty_batch", domain: "chowhound" },
    ]);
  });
});

describe("Ingest as plain JSON", () => {
  it("rejects bad records alone, in their places", async () => {
    const traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    const records = [
      jsonRecord("good", { metadata: { a: [1, { b: null }] }, attributes: { k: "v" } }),
      jsonRecord("a", { metadata: "not an object" }),
      jsonRecord("b", { updatedAt: "yesterday" }),
      jsonRecord("c", { sourceType: 7 }),
      jsonRecord("d", { colour: "red" }),
      jsonRecord("e", { data: "nul \0" }),
      "text",
      null,
      {
        source_type: "host",
        source_id: "web-1",
        data_id: "snake",
        data: "x",
        created_at: "2026-01-01T00:00:00Z",
      },
    ];
    const response = await post(JSON.stringify({ records }), { traceparent });
    expect(response.status).toBe(200);
    const { receipt } = (await response.json()) as {
      receipt: { accepted: number; traceId: string; statuses: { reason?: string; field?: string }[] };
    };
    expect(receipt).toMatchObject({ accepted: 2, rejected: 7, traceId: "4bf92f3577b34da6a3ce929d0e0e4736" });
    expect(receipt.statuses.map(({ reason, field }) => [reason, field])).toEqual([
      [undefined, undefined],
      ["malformed_record", "metadata"],
      ["malformed_record", "updated_at"],
      ["malformed_record", "source_type"],
      ["malformed_record", "colour"],
      ["nul_character", "data"],
      ["malformed_record", undefined],
      ["malformed_record", undefined],
      [undefined, undefined],
    ]);
    const batch = (await readRaw(test.config)).at(-1)!;
    expect(batch.calls).toMatchObject([{ tenantId: "acme", traceparent }]);
  });

  it("hashes the same content as protobuf does", async () => {
    const content = {
      data: "héllo",
      metadata: { z: 1, a: ["x", 2.5, true, null] },
      lang: "de",
      attributes: { k: "v" },
    };
    await post(JSON.stringify({ records: [jsonRecord("same", content)] }));
    await post(encodeRequest([goodRecord("same", content)]) as Body, {
      "content-type": "application/proto",
    });
    const [one, two] = (await readRaw(test.config)).slice(-2);
    expect(one!.contentHashes).toEqual(two!.contentHashes);
  });

  it("rejects only the record that nests too deep", async () => {
    const nested = (depth: number): object => (depth === 0 ? {} : { a: nested(depth - 1) });
    const records = [jsonRecord("good"), jsonRecord("deep", { metadata: nested(200) })];
    const response = await post(JSON.stringify({ records }));
    expect(await response.json()).toMatchObject({
      receipt: { accepted: 1, statuses: [{}, { reason: "metadata_too_deep" }] },
    });
  });

  it("survives JSON that nests a hundred thousand levels", async () => {
    const nested = `${"[".repeat(100_000)}${"]".repeat(100_000)}`;
    const response = await post(`{"records":[${nested},{"data":${nested}},{"metadata":{"a":${nested}}}]}`);
    expect(await response.json()).toMatchObject({
      receipt: {
        rejected: 3,
        statuses: [
          { reason: "malformed_record" },
          { reason: "malformed_record", field: "data" },
          { reason: "metadata_too_deep", field: "metadata" },
        ],
      },
    });
    expect((await post(JSON.stringify({ records: [jsonRecord("after")] }))).status).toBe(200);
  });

  it.each<[string, string | Buffer, CallErrorReason, string]>([
    ["a body that isn't JSON", "{", "malformed_request", "not JSON"],
    ["an empty body", "", "malformed_request", "empty"],
    ["records that are no list", '{"records": 5}', "malformed_request", "records is not a list"],
    ["text that isn't UTF-8", Buffer.from([0x22, 0xff, 0x22]), "malformed_request", "not valid UTF-8"],
    ["no records", "{}", "empty_batch", "no records"],
  ])("refuses %s", async (_what, body, reason, message) => {
    const count = () => test.meter.total("chowhound.calls.refused", { "chowhound.reason": reason });
    const before = count();
    const response = await post(body);
    expect(response.status).toBe(400);
    expect(await describeFailure(response)).toMatchObject({
      code: "invalid_argument",
      reason,
      message: expect.stringContaining(message),
    });
    expect(count()).toBe(before + 1);
  });

  it.each(["Application/JSON; charset=utf-8", "application/json;charset=UTF-8"])(
    "takes the content type %s",
    async (contentType) => {
      const body = JSON.stringify({ records: [jsonRecord("a")] });
      expect((await post(body, { "content-type": contentType })).status).toBe(200);
    },
  );

  it("rejects a number that JSON hasn't, alone", async () => {
    const huge = JSON.stringify(jsonRecord("huge", { metadata: { a: 0 } })).replace(/0}}$/, "1e400}}");
    const response = await post(`{"records":[${JSON.stringify(jsonRecord("good"))},${huge}]}`);
    expect(await response.json()).toMatchObject({
      receipt: { accepted: 1, statuses: [{}, { reason: "invalid_metadata", field: "metadata" }] },
    });
  });

  const zeros = new Array(4_000_000).fill(0).join(",");

  it("rejects a record with millions of values, without being busy with it for long", async () => {
    const started = performance.now();
    const good = JSON.stringify(jsonRecord("good"));
    const response = await post(`{"records":[${good},{"metadata":{"a":[${zeros}]}}]}`);
    expect(await response.json()).toMatchObject({
      receipt: { accepted: 1, statuses: [{}, { reason: "record_too_large" }] },
    });
    expect(performance.now() - started).toBeLessThan(5_000);
  });

  it("refuses a call with millions of records, without being busy with it for long", async () => {
    const started = performance.now();
    const response = await post(`{"records":[${zeros}]}`);
    expect(await describeFailure(response)).toMatchObject({ reason: "too_many_records" });
    expect(performance.now() - started).toBeLessThan(5_000);
  });

  it("names the limit where a call is too large", async () => {
    const data = "x".repeat(LIMITS.callBytes / 5);
    const records = Array.from({ length: 5 }, () => jsonRecord("a", { data }));
    const response = await post(JSON.stringify({ records }));
    expect(response.status).toBe(429);
    expect(await describeFailure(response)).toMatchObject({
      code: "resource_exhausted",
      reason: "call_too_large",
      message: expect.stringContaining(`${LIMITS.callBytes}`),
    });
  });

  const beyond = `{"records":[]}${" ".repeat(12e6)}`;
  const FAST = { params: { [constants.BROTLI_PARAM_QUALITY]: 1 } };
  const BEYOND: [what: string, body: () => Body, headers?: Record<string, string>][] = [
    ["says its length", () => beyond],
    ["doesn't say its length", () => new Blob([beyond]).stream()],
    ["is small until it is unpacked", () => gzipSync(beyond), { "content-encoding": "gzip" }],
    ["is smaller until it is unpacked", () => brotliCompressSync(beyond, FAST), { "content-encoding": "br" }],
  ];

  it.each(BEYOND)("reads no more than its limit of a body that %s", async (_what, body, headers) => {
    const response = await post(body(), headers);
    expect(response.status).toBe(429);
    expect(await describeFailure(response)).toMatchObject({ reason: "call_too_large" });
  });

  it("refuses what it can't unpack", async () => {
    const garbage = await post("garbage", { "content-encoding": "gzip" });
    expect(await describeFailure(garbage)).toMatchObject({ reason: "malformed_request" });
    const unknown = await post("{}", { "content-encoding": "zstd" });
    expect(await describeFailure(unknown)).toMatchObject({ code: "unimplemented" });
  });

  it("says when to try again", async () => {
    test.gateway.pause();
    try {
      const client = createClient(
        IngestionService,
        createConnectTransport({ baseUrl: test.httpUrl, httpVersion: "1.1" }),
      );
      const headers = { authorization: `Bearer ${test.acmeKey}` };
      const error = await client.ingest({ records: [goodRecord("a")] }, { headers }).then(
        () => undefined,
        (reason: unknown) => ConnectError.from(reason),
      );
      expect(error).toMatchObject({ code: Code.Unavailable });
      expect(error!.findDetails(RetryInfoSchema)).toMatchObject([{ retryDelay: { seconds: 1n } }]);
    } finally {
      test.gateway.resume();
    }
  });
});

describe("Ingest as plain binary", () => {
  it("rejects a record that isn't well formed, alone", async () => {
    const bad = Buffer.from("not a record");
    const good = toBinary(IngestionDataSchema, create(IngestionDataSchema, goodRecord("good")));
    const response = await post(encodeRequest([bad, good]) as Body, {
      "content-type": "application/proto",
      accept: "application/json",
    });
    expect(response.status).toBe(200);
    expect((await readRaw(test.config)).at(-1)!.originals).toHaveLength(1);
  });
});

describe("a stranger", () => {
  /** Sends the head of a call and no body. Resolves with the answer. */
  async function announce(contentType: string, headers: Record<string, string> = {}) {
    const call = request(`${test.httpUrl}${PATH}`, {
      method: "POST",
      headers: { "content-type": contentType, "content-length": 8_000_000, ...headers },
    });
    call.on("error", () => {}).flushHeaders();
    const [response] = (await once(call, "response")) as [IncomingMessage];
    const body = await text(response);
    call.destroy();
    return { status: response.statusCode, body };
  }

  it.each(["application/json", "application/proto"])(
    "is refused before the body is read: %s",
    async (type) => {
      for (const headers of [{}, { authorization: "Bearer chow_x", "content-encoding": "gzip" }]) {
        const { status, body } = await announce(type, headers);
        expect(status).toBe(401);
        expect(JSON.parse(body)).toMatchObject({
          code: "unauthenticated",
          details: [{ type: "google.rpc.ErrorInfo" }],
        });
      }
    },
  );

  it.each(["application/grpc-web+proto", "application/grpc-web+json"])(
    "is refused before the body is read: %s",
    async (type) => {
      const { status, body } = await announce(type);
      expect(status).toBe(200);
      expect(body).toContain("grpc-status: 16");
    },
  );
});

describe("the HTTP port", () => {
  it("helps whoever comes by", async () => {
    const response = await fetch(test.httpUrl);
    expect(response.status).toBe(200);
    expect(await response.json()).toMatchObject({ push: expect.stringContaining(PATH) });
    expect((await fetch(`${test.httpUrl}/nothing`)).status).toBe(404);
    expect((await post("a=b", { "content-type": "application/x-www-form-urlencoded" })).status).toBe(415);
    expect((await fetch(`${test.httpUrl}${PATH}`)).status).toBe(415);
  });

  it("answers preflights for its origins alone", async () => {
    const preflight = (origin: string) =>
      fetch(`${test.httpUrl}${PATH}`, {
        method: "OPTIONS",
        headers: { origin, "access-control-request-method": "POST" },
      });
    const allowed = await preflight("https://ok.example");
    expect(allowed.status).toBe(204);
    expect(allowed.headers.get("access-control-allow-origin")).toBe("https://ok.example");
    expect(allowed.headers.get("access-control-allow-headers")).toContain("Authorization");
    const refused = await preflight("https://evil.example");
    expect(refused.headers.get("access-control-allow-origin")).toBeNull();
  });

  it.each([
    "garbage\r\n\r\n",
    "\x16\x03\x01\x02\x00\x01\x00",
    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    `POST ${PATH} HTTP/1.0\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}`,
    `POST ${PATH} HTTP/1.1\r\ncontent-type: application/json\r\n\r\n{}`,
    `POST ${PATH} HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: -1\r\n\r\n{}`,
  ])("answers 400 to garbage and lives on: %j", async (garbage) => {
    const [host, port] = new URL(test.httpUrl).host.split(":");
    const answer = await new Promise<string>((resolve) => {
      let text = "";
      const socket = connect(Number(port), host).setEncoding("latin1");
      socket.on("data", (chunk) => {
        text += chunk;
      });
      socket.on("error", () => {}).on("close", () => resolve(text));
      socket.end(garbage, "latin1");
    });
    expect(answer).toMatch(/^HTTP\/1\.1 400 /);
    expect((await post(JSON.stringify({ records: [jsonRecord("after")] }))).status).toBe(200);
  });

  it("lives on when a client goes away in the middle of a call", async () => {
    const [host, port] = new URL(test.httpUrl).host.split(":");
    const socket = connect(Number(port), host);
    const head = `POST ${PATH} HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n`;
    await new Promise((resolve) => socket.write(`${head}{"records": [`, resolve));
    socket.resetAndDestroy();
    expect((await post(JSON.stringify({ records: [jsonRecord("after")] }))).status).toBe(200);
  });
});
