import { connect } from "node:http2";
import { getDefaultHighWaterMark } from "node:stream";
import { fromBinary } from "@bufbuild/protobuf";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import {
  type IngestStreamResponse,
  IngestStreamResponseSchema,
} from "@chowhound/shared/contracts/chowhound/v1/ingestion_service";
import { type ClientDuplexStream, type ServiceError, status } from "@grpc/grpc-js";
import { afterEach, beforeEach, describe, expect, inject, it, vi } from "vitest";
import {
  bearer,
  describeError,
  encodeRequest,
  failure,
  type GrpcClient,
  goodRecord,
  grpcClient,
  ingest,
  readRaw,
  startTestGateway,
  type TestGateway,
} from "./test-gateway.ts";

let test: TestGateway;
let client: GrpcClient;

beforeEach(async () => {
  test = await startTestGateway(inject("natsUrl"));
  await test.started;
  client = grpcClient(test.grpcAddress);
});
afterEach(async () => {
  client.close();
  await test.stop();
});

function batch(number: number, records: Parameters<typeof encodeRequest>[0]): Uint8Array {
  const numbered = new BinaryWriter().tag(2, WireType.Varint).uint64(BigInt(number)).finish();
  return Buffer.concat([encodeRequest(records), numbered]);
}

const recordsOf = (number: number, count: number) =>
  Array.from({ length: count }, (_, index) => goodRecord(`${number}-${index}`));

/** Collects what a stream says until its status. */
function listen(stream: ClientDuplexStream<Uint8Array, Uint8Array>) {
  const receipts: IngestStreamResponse[] = [];
  let error: ServiceError | undefined;
  stream.on("data", (bytes: Uint8Array) => receipts.push(fromBinary(IngestStreamResponseSchema, bytes)));
  stream.on("error", (failed: ServiceError) => {
    error = failed;
  });
  const ended = new Promise<void>((resolve) => stream.on("status", () => setImmediate(resolve)));
  return {
    receipts,
    numbers: () => receipts.map((receipt) => Number(receipt.batchNumber)),
    ended: async () => {
      await ended;
      return error === undefined ? undefined : describeError(error);
    },
  };
}

describe("IngestStream", () => {
  it("answers many batches in their order", async () => {
    const stream = client.ingestStream(bearer(test.acmeKey));
    const heard = listen(stream);
    const sizes = [900, 1, 300, 2, 700];
    for (let number = 1; number <= 100; number++)
      stream.write(batch(number, recordsOf(number, sizes[number % 5]!)));
    stream.end();
    expect(await heard.ended()).toBeUndefined();
    expect(heard.numbers()).toEqual(Array.from({ length: 100 }, (_, index) => index + 1));
    expect(heard.receipts.map(({ receipt }) => receipt!.accepted)).toEqual(
      Array.from({ length: 100 }, (_, index) => sizes[(index + 1) % 5]),
    );
    expect(test.meter.total("chowhound.records.accepted")).toBe(20 * (900 + 1 + 300 + 2 + 700));
  });

  it("ends with the first failure, after the receipts of the batches before it", async () => {
    const stream = client.ingestStream(bearer(test.acmeKey));
    const heard = listen(stream);
    stream.write(batch(1, recordsOf(1, 600)));
    stream.write(batch(2, [goodRecord("bad", { sourceType: "" })]));
    stream.write(batch(3, []));
    stream.write(batch(4, recordsOf(4, 1)));
    expect(await heard.ended()).toMatchObject({ code: status.INVALID_ARGUMENT, reason: "empty_batch" });
    expect(heard.numbers()).toEqual([1, 2]);
    expect(heard.receipts[1]!.receipt).toMatchObject({ rejected: 1 });
  });

  it("refuses a stream without a key", async () => {
    const stream = client.ingestStream(bearer("chow_unknown"));
    const heard = listen(stream);
    stream.write(batch(1, recordsOf(1, 1)));
    expect(await heard.ended()).toMatchObject({ code: status.UNAUTHENTICATED });
  });

  it("ends with malformed_request on garbage", async () => {
    const stream = client.ingestStream(bearer(test.acmeKey));
    const heard = listen(stream);
    stream.write(batch(1, recordsOf(1, 1)));
    stream.write(Buffer.from("garbage"));
    expect(await heard.ended()).toMatchObject({ reason: "malformed_request" });
    expect(heard.numbers()).toEqual([1]);
  });

  it("keeps what was accepted when the client goes away in mid-stream, and nothing hangs", async () => {
    const stream = client.ingestStream(bearer(test.acmeKey));
    const heard = listen(stream);
    stream.write(batch(1, recordsOf(1, 10)));
    await vi.waitFor(() => expect(heard.numbers()).toEqual([1]));
    stream.write(batch(2, recordsOf(2, 1_000)));
    stream.cancel();
    expect(await heard.ended()).toMatchObject({ code: status.CANCELLED });
    const receipt = await ingest(client, bearer(test.acmeKey), encodeRequest([goodRecord("after")]));
    expect(receipt.accepted).toBe(1);
    const inRaw = (await readRaw(test.config)).reduce((sum, { originals }) => sum + originals.length, 0);
    expect([11, 1_011]).toContain(inRaw);
  });

  const usual = getDefaultHighWaterMark(true);

  it("reads no further than the window while receipts are not read", async () => {
    // grpc-js reads ahead without bound, so this client is plain HTTP/2.
    const session = connect(`http://${test.grpcAddress}`);
    const stream = session.request({
      ":method": "POST",
      ":path": "/chowhound.v1.IngestionService/IngestStream",
      "content-type": "application/grpc",
      te: "trailers",
      authorization: `Bearer ${test.acmeKey}`,
    });
    stream.on("error", () => {}).pause();
    // Receipts of rejected records are long: flow control stops them soon.
    const rejected = Array.from({ length: 4_000 }, () => goodRecord("x", { sourceType: "" }));
    const request = batch(1, [...rejected, goodRecord("good")]);
    const prefix = Buffer.alloc(5);
    prefix.writeUInt32BE(request.length, 1);
    for (let number = 1; number <= 50; number++) stream.write(Buffer.concat([prefix, request]));
    const accepted = () => test.meter.total("chowhound.records.accepted");
    const { streamWindow } = test.config;
    try {
      await vi.waitFor(() => expect(accepted()).toBeGreaterThanOrEqual(streamWindow), 10_000);
      await new Promise((resolve) => setTimeout(resolve, 500));
      expect(accepted()).toBeLessThanOrEqual(streamWindow + 1);
      // One message is read ahead, another is on its way within HTTP/2's own window.
      expect(session.socket.bytesWritten).toBeLessThan((streamWindow + 4) * request.length);
      expect(getDefaultHighWaterMark(true)).toBe(usual);
      stream.resume();
      await vi.waitFor(() => expect(accepted()).toBe(50), 20_000);
    } finally {
      session.destroy();
    }
  });

  it("ends idle streams when the gateway drains, after their receipts", async () => {
    const stream = client.ingestStream(bearer(test.acmeKey));
    const heard = listen(stream);
    stream.write(batch(1, recordsOf(1, 5)));
    await vi.waitFor(() => expect(heard.numbers()).toEqual([1]));
    const started = performance.now();
    await test.stop();
    expect(await heard.ended()).toMatchObject({ code: status.UNAVAILABLE, reason: "shutting_down" });
    expect(performance.now() - started).toBeLessThan(3_000);
  });
});

describe("IngestStream with little room in flight", () => {
  it("waits for room instead of refusing", async () => {
    const small = await startTestGateway(inject("natsUrl"), {
      inFlightBytes: 100_000,
      tenantInFlightBytes: 100_000,
    });
    await small.started;
    const smallClient = grpcClient(small.grpcAddress);
    try {
      const stream = smallClient.ingestStream(bearer(small.acmeKey));
      const heard = listen(stream);
      const record = goodRecord("a", { data: "x".repeat(60_000) });
      for (let number = 1; number <= 50; number++) stream.write(batch(number, [record]));
      stream.end();
      expect(await heard.ended()).toBeUndefined();
      expect(heard.receipts).toHaveLength(50);

      // What never fits shows that a call on its own doesn't wait.
      const tooLarge = encodeRequest([goodRecord("a", { data: "x".repeat(120_000) })]);
      expect(await failure(ingest(smallClient, bearer(small.acmeKey), tooLarge))).toMatchObject({
        code: status.RESOURCE_EXHAUSTED,
        reason: "too_much_in_flight",
        retryMs: 250,
      });
    } finally {
      smallClient.close();
      await small.stop();
    }
  });
});
