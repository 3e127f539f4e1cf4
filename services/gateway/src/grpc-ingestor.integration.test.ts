import { execFile } from "node:child_process";
import { once } from "node:events";
import { connect as connectHttp2 } from "node:http2";
import { connect } from "node:net";
import { promisify } from "node:util";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { IngestionDataSchema } from "@chowhound/shared/contracts/chowhound/v1/ingestion_data";
import { RecordOutcome } from "@chowhound/shared/contracts/chowhound/v1/ingestion_service";
import { LIMITS } from "@chowhound/shared/record/limits";
import { formatUuid, parseUuid } from "@chowhound/shared/record/uuid";
import { type Client, credentials, loadPackageDefinition, status } from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";
import { protoPath } from "grpc-health-check";
import { afterAll, beforeAll, describe, expect, inject, it } from "vitest";
import {
  bearer,
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

beforeAll(async () => {
  test = await startTestGateway(inject("natsUrl"));
  await test.started;
  client = grpcClient(test.grpcAddress);
});
afterAll(async () => {
  client.close();
  await test.stop();
});

const asAcme = (records: Parameters<typeof encodeRequest>[0]) =>
  ingest(client, bearer(test.acmeKey), encodeRequest(records));

describe("Ingest over gRPC", () => {
  it("answers with a receipt once the records are in RAW", async () => {
    const traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    const uuid = "1b4e28ba-2fa1-41d2-883f-0016d3cca427";
    const receipt = await ingest(
      client,
      bearer(test.acmeKey, { traceparent, tracestate: "a=b" }),
      encodeRequest([goodRecord("one", { uuid }), goodRecord("two")]),
    );
    expect(receipt).toMatchObject({ accepted: 2, rejected: 0, traceId: "4bf92f3577b34da6a3ce929d0e0e4736" });
    expect(receipt.statuses.map((entry) => entry.outcome)).toEqual([
      RecordOutcome.ACCEPTED,
      RecordOutcome.ACCEPTED,
    ]);
    const batch = (await readRaw(test.config)).at(-1)!;
    expect(batch.calls).toMatchObject([{ tenantId: "acme", traceparent, tracestate: "a=b" }]);
    expect(formatUuid(batch.calls[0]!.receiptId)).toBe(receipt.receiptId);
    expect(receipt.statuses.map((entry) => entry.uuid)).toEqual([uuid, formatUuid(batch.uuids, 16)]);
    expect(parseUuid(receipt.statuses[1]!.uuid)).toBeDefined();
    expect(batch.originals.map((bytes) => fromBinary(IngestionDataSchema, bytes).dataId)).toEqual([
      "one",
      "two",
    ]);
    expect(batch.acceptedAtUs).toBe(
      receipt.acceptedAt!.seconds * 1_000_000n + BigInt(receipt.acceptedAt!.nanos / 1000),
    );
  });

  it("rejects bad records alone, in their places", async () => {
    const records = Array.from({ length: 1_000 }, (_, index) => goodRecord(`r${index}`));
    const withBad = [
      ...records.slice(0, 500),
      Buffer.from([0xff]),
      ...records.slice(500),
      goodRecord("x", { sourceId: "" }),
    ];
    const before = (await readRaw(test.config)).length;
    const receipt = await asAcme(withBad);
    expect(receipt).toMatchObject({ accepted: 1_000, rejected: 2 });
    expect(receipt.statuses[500]).toMatchObject({
      outcome: RecordOutcome.REJECTED,
      reason: "malformed_record",
      uuid: "",
    });
    expect(receipt.statuses[1_001]).toMatchObject({ reason: "missing_field", field: "source_id" });
    const batches = (await readRaw(test.config)).slice(before);
    expect(batches.map((batch) => batch.originals.length)).toEqual([500, 500]);
  });

  it("publishes nothing where every record is rejected", async () => {
    const before = (await readRaw(test.config)).length;
    const receipt = await asAcme([goodRecord("a", { tenantId: "umbrella" })]);
    expect(receipt).toMatchObject({ accepted: 0, rejected: 1, statuses: [{ reason: "tenant_mismatch" }] });
    expect(receipt.acceptedAt).toBeUndefined();
    expect((await readRaw(test.config)).length).toBe(before);
  });

  it("merges calls of several tenants into one batch", async () => {
    const before = (await readRaw(test.config)).length;
    const keys = [test.acmeKey, test.umbrellaKey];
    const calls = Array.from({ length: 40 }, (_, index) =>
      ingest(client, bearer(keys[index % 2]!), encodeRequest([goodRecord(`c${index}`)])),
    );
    const receipts = await Promise.all(calls);
    const batches = (await readRaw(test.config)).slice(before);
    expect(batches.length).toBeLessThan(20);
    const merged = batches.find((batch) => batch.calls.length > 1)!;
    expect(new Set(merged.calls.map((call) => call.tenantId))).toEqual(new Set(["acme", "umbrella"]));
    const owners = batches.flatMap((batch) =>
      batch.callOf.map((call) => formatUuid(batch.calls[call]!.receiptId)),
    );
    expect(new Set(owners)).toEqual(new Set(receipts.map((receipt) => receipt.receiptId)));
  });

  it("splits a call whose records don't fit one batch", async () => {
    const before = (await readRaw(test.config)).length;
    const receipt = await asAcme([1, 2, 3].map((n) => goodRecord(`big${n}`, { data: "x".repeat(400_000) })));
    expect(receipt.accepted).toBe(3);
    expect((await readRaw(test.config)).slice(before).map((batch) => batch.originals.length)).toEqual([
      1, 1, 1,
    ]);
  });

  it.each([
    ["no header", undefined],
    ["an unknown key", "Bearer chow_unknown"],
    ["another scheme", "Basic YTpi"],
  ])("refuses a call with %s", async (_what, authorization) => {
    const metadata = bearer("x");
    metadata.remove("authorization");
    if (authorization !== undefined) metadata.set("authorization", authorization);
    expect(await failure(ingest(client, metadata, encodeRequest([goodRecord("a")])))).toMatchObject({
      code: status.UNAUTHENTICATED,
      reason: "unauthenticated",
    });
  });

  it.each(["Ingest", "IngestStream"])(
    "refuses a stranger before a message of %s has come",
    async (method) => {
      const before = test.meter.total("chowhound.calls.refused", { "chowhound.reason": "unauthenticated" });
      const session = connectHttp2(`http://${test.grpcAddress}`);
      const stream = session.request({
        ":method": "POST",
        ":path": `/chowhound.v1.IngestionService/${method}`,
        "content-type": "application/grpc",
        te: "trailers",
      });
      const [headers] = await once(stream, "response");
      expect(headers["grpc-status"]).toBe(`${status.UNAUTHENTICATED}`);
      expect(headers["grpc-status-details-bin"]).toBeDefined();
      expect(test.meter.total("chowhound.calls.refused", { "chowhound.reason": "unauthenticated" })).toBe(
        before + 1,
      );
      session.destroy();
    },
  );

  const bytes = (length: number) => Buffer.alloc(length);
  const LIMIT_CASES: [what: string, request: () => Uint8Array, reason: string, code: status, says: string][] =
    [
      ["no records", () => bytes(0), "empty_batch", status.INVALID_ARGUMENT, "at least one"],
      [
        "too many records",
        () => encodeRequest(new Array(5_001).fill(bytes(0))),
        "too_many_records",
        status.INVALID_ARGUMENT,
        "5000",
      ],
      [
        "far too many records",
        () => Buffer.from("0a00".repeat(2_600_000), "hex"),
        "too_many_records",
        status.INVALID_ARGUMENT,
        "5000",
      ],
      [
        "too many bytes",
        () => encodeRequest(new Array(5).fill(bytes(LIMITS.callBytes / 5 + 1))),
        "call_too_large",
        status.RESOURCE_EXHAUSTED,
        `${LIMITS.callBytes}`,
      ],
      [
        "garbage",
        () => Buffer.from("garbage"),
        "malformed_request",
        status.INVALID_ARGUMENT,
        "not well formed",
      ],
    ];

  it.each(LIMIT_CASES)("refuses %s", async (_what, request, reason, code, says) => {
    expect(await failure(ingest(client, bearer(test.acmeKey), request()))).toMatchObject({
      code,
      reason,
      message: expect.stringContaining(says),
    });
  });

  it("takes as many records as the limit says, and a record as large as it says", async () => {
    expect(await asAcme(Array.from({ length: 5_000 }, (_, index) => goodRecord(`m${index}`)))).toMatchObject({
      accepted: 5_000,
    });
    // One time for all: how many bytes a time takes depends on the moment.
    const { updatedAt } = goodRecord("big");
    const empty = toBinary(
      IngestionDataSchema,
      create(IngestionDataSchema, goodRecord("big", { data: "", updatedAt })),
    ).length;
    // The tag and the length of data take four bytes.
    const data = "x".repeat(LIMITS.recordBytes - empty - 4);
    expect(await asAcme([goodRecord("big", { data, updatedAt })])).toMatchObject({ accepted: 1 });
    expect(await asAcme([goodRecord("big", { data: `${data}x`, updatedAt })])).toMatchObject({
      statuses: [{ reason: "record_too_large" }],
    });
  });

  it("refuses a message beyond what it would read, and lives on", async () => {
    expect(await failure(ingest(client, bearer(test.acmeKey), bytes(6 * 1024 ** 2)))).toMatchObject({
      code: status.RESOURCE_EXHAUSTED,
    });
    expect((await asAcme([goodRecord("after")])).accepted).toBe(1);
  });
});

describe("the gRPC port", () => {
  it.each([
    "GET / HTTP/1.1\r\n\r\n",
    "\x16\x03\x01\x02\x00garbage",
    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nnot frames at all",
  ])("closes on garbage and lives on: %j", async (garbage) => {
    const [host, port] = test.grpcAddress.split(":");
    const socket = connect(Number(port), host).on("error", () => {});
    socket.resume();
    socket.write(garbage);
    await once(socket, "close");
    expect((await asAcme([goodRecord("after")])).accepted).toBe(1);
  });

  it("tells its health", async () => {
    const { grpc } = loadPackageDefinition(loadSync(protoPath)) as unknown as {
      grpc: { health: { v1: { Health: new (...args: ConstructorParameters<typeof Client>) => Client } } };
    };
    const health = new grpc.health.v1.Health(test.grpcAddress, credentials.createInsecure()) as Client & {
      check(
        request: { service: string },
        done: (error: Error | null, response: { status: string | number }) => void,
      ): void;
    };
    for (const service of ["", "chowhound.v1.IngestionService", "chowhound.v1.QueryService", "nats"]) {
      const response = await new Promise((resolve, reject) =>
        health.check({ service }, (error, answer) => (error === null ? resolve(answer) : reject(error))),
      );
      expect(response).toMatchObject({ status: 1 });
    }
    health.close();
  });

  it("serves buf curl, which learns the schema by reflection", async () => {
    const { stdout } = await promisify(execFile)("node_modules/.bin/buf", [
      "curl",
      "--protocol",
      "grpc",
      "--http2-prior-knowledge",
      "--header",
      `authorization: Bearer ${test.acmeKey}`,
      "--data",
      JSON.stringify({
        records: [{ sourceType: "host", sourceId: "a", data: "b", createdAt: new Date().toISOString() }],
      }),
      `http://${test.grpcAddress}/chowhound.v1.IngestionService/Ingest`,
    ]);
    expect(JSON.parse(stdout)).toMatchObject({ receipt: { accepted: 1 } });
  });

  it("lists its services by reflection", async () => {
    const args = ["curl", "--protocol", "grpc", "--http2-prior-knowledge", "--list-methods"];
    const { stdout } = await promisify(execFile)("node_modules/.bin/buf", [
      ...args,
      `http://${test.grpcAddress}`,
    ]);
    expect(stdout).toContain("chowhound.v1.IngestionService/IngestStream");
    expect(stdout).toContain("chowhound.v1.QueryService/ListRecords");
  });
});
