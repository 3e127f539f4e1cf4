import { create, fromBinary, type MessageInitShape } from "@bufbuild/protobuf";
import { uuidAt } from "@chowhound/shared/batch/batch-columns";
import { bundleBatches } from "@chowhound/shared/batch/bundle";
import type { RecordBatch } from "@chowhound/shared/contracts/chowhound/internal/v1/record_batch";
import {
  LocateRecordsRequestSchema,
  type LocateRecordsResponse,
  LocateRecordsResponseSchema,
  RecordState,
} from "@chowhound/shared/contracts/chowhound/v1/query_service";
import { formatUuid, parseUuid } from "@chowhound/shared/record/uuid";
import { ensureStream, natsNames, STREAMS, type StreamRole } from "@chowhound/shared/stream/topology";
import { encodeSample, sampleBatch, sampleRawBatch } from "@chowhound/shared/testing/sample-batches";
import { freshPrefix } from "@chowhound/shared/testing/test-servers";
import { type JetStreamManager, jetstream, jetstreamManager } from "@nats-io/jetstream";
import { connect, type NatsConnection } from "@nats-io/transport-node";
import { afterAll, beforeAll, beforeEach, describe, expect, inject, it } from "vitest";
import { openTestDatabase, type TestDatabase } from "./database-for-test.ts";
import { dropForTest } from "./drop-for-test.ts";
import { locateRecords } from "./locate-records.ts";
import { peekStreams } from "./peek-streams.ts";
import { PostgresReader } from "./postgres-reader.ts";
import type { PostgresWriter } from "./postgres-writer.ts";

const names = natsNames(freshPrefix());
const MAX_BYTES = 1024 ** 2;
let database: TestDatabase;
let writer: PostgresWriter;
let reader: PostgresReader;
let nc: NatsConnection;
let jsm: JetStreamManager;

beforeAll(async () => {
  database = await openTestDatabase();
  [writer] = database.writers;
  reader = new PostgresReader({ ...database.options, connections: 2 });
  nc = await connect({ servers: inject("natsUrl") });
  jsm = await jetstreamManager(nc);
});
afterAll(async () => {
  await nc.close();
  await reader.close();
  await database.drop();
});
beforeEach(async () => {
  await database.empty();
  for (const role of STREAMS) {
    await ensureStream(nc, names, role, { maxBytes: 256 << 20, replicas: 1 });
    await jsm.streams.purge(names.stream(role));
  }
});

async function publish(role: StreamRole, batch: RecordBatch | string): Promise<number> {
  const bytes = typeof batch === "string" ? batch : encodeSample(batch);
  return (await jetstream(nc).publish(names.subject(role, 0), bytes)).seq;
}

async function locate(
  request: MessageInitShape<typeof LocateRecordsRequestSchema>,
  { tenantId = "acme", maxBytes = MAX_BYTES } = {},
): Promise<LocateRecordsResponse> {
  const dependencies = { nc, names, fates: reader.fates };
  const message = create(LocateRecordsRequestSchema, request);
  const bytes = await locateRecords(tenantId, message, maxBytes, dependencies);
  expect(bytes.length).toBeLessThanOrEqual(maxBytes);
  return fromBinary(LocateRecordsResponseSchema, bytes);
}

const uuidOf = (batch: RecordBatch, index: number): string => formatUuid(uuidAt(batch, index));
const receiptOf = (batch: RecordBatch): string => formatUuid(batch.calls[0]!.receiptId);

describe("a record in flight", () => {
  it("is told with the stream, its number there, and who takes it next", async () => {
    const raw = sampleRawBatch({ records: [{}, {}] });
    const enriched = sampleBatch({
      records: [{}, { pipelineVersion: 4 }],
      origin: { epoch: 7n, sequence: 8n },
    });
    await publish("raw", "no batch");
    const sequence = await publish("raw", raw);
    await publish("enriched", enriched);
    const { created } = await jsm.streams.info(names.stream("raw"));
    const inRaw = await locate({ id: uuidOf(raw, 1) });
    expect(inRaw).toMatchObject({
      fates: [
        {
          uuid: uuidOf(raw, 1),
          state: RecordState.IN_FLIGHT,
          receiptId: receiptOf(raw),
          batch: { batchId: formatUuid(raw.batchId), ordinal: 1, rawSequence: BigInt(sequence) },
          waiting: { stream: "raw", waitsFor: "enricher", sequence: BigInt(sequence) },
        },
      ],
      counts: [{ state: RecordState.IN_FLIGHT, count: 1 }],
      gaps: [],
    });
    const [fate] = inRaw.fates;
    expect(fate!.pipelineVersion).toBeUndefined();
    expect(fate!.bookedAt).toBeUndefined();
    expect(Number(fate!.batch!.epoch / 1000n)).toBe(Date.parse(created));
    expect(Math.abs(Number(fate!.waiting!.since!.seconds) - Date.now() / 1000)).toBeLessThan(10);
    expect((await locate({ id: uuidOf(enriched, 1) })).fates).toMatchObject([
      {
        pipelineVersion: 4n,
        batch: { epoch: 7n, rawSequence: 8n },
        waiting: { stream: "enriched", waitsFor: "dedup" },
      },
    ]);
  });

  it("may be in one message with other batches", async () => {
    const batches = [sampleBatch({ records: [{}] }), sampleBatch({ records: [{}, {}] })];
    const message = bundleBatches(batches.map(encodeSample));
    const { seq } = await jetstream(nc).publish(names.subject("unique", 0), message);
    for (const batch of batches)
      expect((await locate({ id: receiptOf(batch) })).fates).toMatchObject(
        batch.originals.map((_, ordinal) => ({
          batch: { batchId: formatUuid(batch.batchId), ordinal },
          waiting: { stream: "unique", sequence: BigInt(seq) },
        })),
      );
  });

  it("stays where it is", async () => {
    const batch = sampleBatch({ records: [{}] });
    await publish("unique", batch);
    await locate({ id: receiptOf(batch) });
    const { state } = await jsm.streams.info(names.stream("unique"));
    expect(state).toMatchObject({ messages: 1, consumer_count: 0 });
  });

  it("is told once: at the furthest place that it has come to", async () => {
    const batch = sampleBatch({ records: [{}, {}] });
    await publish("raw", batch);
    const reduced = dropForTest(batch, [0]);
    await publish("unique", reduced);
    for (const index of [0, 1])
      expect((await locate({ id: uuidOf(batch, index) })).fates).toMatchObject([
        { waiting: { stream: "unique", waitsFor: "store" }, batch: { ordinal: index } },
      ]);
    await writer.write([reduced]);
    // A copy is still in the stream: it will be skipped.
    expect((await locate({ id: receiptOf(batch) })).fates.map(({ state }) => state)).toEqual([
      RecordState.DUPLICATE,
      RecordState.STORED,
    ]);
  });

  it("comes behind what is booked of the same uuid", async () => {
    const batch = sampleBatch({ records: [{}] });
    await writer.write([batch]);
    const again = sampleBatch({ records: [{ uuid: uuidOf(batch, 0) }] });
    await publish("raw", again);
    expect((await locate({ id: uuidOf(batch, 0) })).fates.map(({ state }) => state)).toEqual([
      RecordState.STORED,
      RecordState.IN_FLIGHT,
    ]);
  });

  it("is nobody else's", async () => {
    const batch = sampleBatch({ records: [{}] });
    await publish("raw", batch);
    for (const id of [uuidOf(batch, 0), receiptOf(batch)])
      expect(await locate({ id }, { tenantId: "globex" })).toMatchObject({ fates: [], gaps: [] });
  });

  it("may be among more than are searched: then it is said how many were", async () => {
    const longAgo = parseUuid("01000000-0000-7000-8000-000000000001")!;
    const limits = { maxMessages: 3, maxBytes: MAX_BYTES, maxMs: 5_000 };
    const batches = Array.from({ length: 9 }, () => sampleBatch({ records: [{}] }));
    for (const batch of batches) batch.calls[0]!.receiptId = longAgo;
    for (const batch of batches) await publish("unique", batch);
    const { fates, gaps } = await peekStreams(nc, names, { tenantId: "acme", id: longAgo }, limits);
    const { first_seq: first } = (await jsm.streams.info(names.stream("unique"))).state;
    expect(fates.map(({ waiting }) => waiting!.sequence)).toEqual([0, 1, 2].map((n) => BigInt(first + n)));
    expect(gaps).toMatchObject([
      { where: "unique", message: "3 of the 9 messages that wait there were searched" },
    ]);
  });

  it("starts where the batches of its time are", async () => {
    const limits = { maxMessages: 2, maxBytes: MAX_BYTES, maxMs: 5_000 };
    for (let n = 0; n < 20; n++) await publish("raw", sampleRawBatch({ records: [{}] }));
    // Clocks may be apart by ten seconds: what is asked for has to be that much younger than the rest.
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    const batch = sampleRawBatch({ records: [{}] });
    const id = Buffer.from(batch.calls[0]!.receiptId);
    id.writeUIntBE(Date.now() + 10_000 - 500, 0, 6);
    batch.calls[0]!.receiptId = id;
    await publish("raw", batch);
    const { fates } = await peekStreams(nc, names, { tenantId: "acme", id }, limits);
    expect(fates).toHaveLength(1);
  });

  it("where a stream is not there, it is said", async () => {
    await jsm.streams.delete(names.stream("enriched"));
    const batch = sampleBatch({ records: [{}] });
    await publish("unique", batch);
    expect(await locate({ id: receiptOf(batch) })).toMatchObject({
      fates: [{ waiting: { stream: "unique" } }],
      gaps: [{ where: "enriched", message: expect.stringContaining("can't be searched") }],
    });
  });
});

describe("pages", () => {
  it("hold each fate once, those in flight last, within their bytes", async () => {
    const booked = sampleBatch({ records: Array.from({ length: 120 }, () => ({})) });
    await writer.write([booked]);
    const flying = sampleRawBatch({ records: Array.from({ length: 30 }, () => ({})) });
    flying.calls[0]!.receiptId = booked.calls[0]!.receiptId;
    await publish("raw", flying);
    const expected = [booked, flying].flatMap((batch) => batch.originals.map((_, i) => uuidOf(batch, i)));
    const id = receiptOf(booked);
    for (const [pageSize, maxBytes] of [
      [50, MAX_BYTES],
      [1000, 16 * 1024],
    ] as const) {
      const seen: string[] = [];
      let pages = 0;
      let pageToken = "";
      do {
        const page = await locate({ id, pageSize, pageToken }, { maxBytes });
        expect(page.fates.length).toBeLessThanOrEqual(pageSize);
        expect(page.counts).toMatchObject([
          { state: RecordState.STORED, count: 120 },
          { state: RecordState.IN_FLIGHT, count: 30 },
        ]);
        seen.push(...page.fates.map(({ uuid }) => uuid));
        pageToken = page.nextPageToken;
        pages++;
      } while (pageToken !== "");
      expect(seen).toEqual(expected);
      expect(pages).toBeGreaterThan(2);
    }
    const { nextPageToken: pageToken } = await locate({ id, pageSize: 1 });
    await expect(locate({ id: uuidOf(booked, 0), pageToken })).rejects.toMatchObject({
      reason: "invalid_query",
    });
    await expect(locate({ id, pageToken: "nonsense" })).rejects.toMatchObject({ reason: "invalid_query" });
  });
});
