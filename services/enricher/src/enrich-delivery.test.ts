import { create, toBinary } from "@bufbuild/protobuf";
import { decodeBatch, NEWEST_ENVELOPE_VERSION } from "@chowhound/shared/batch/decode-batch";
import {
  PipelinesStateSchema,
  RecordBatchSchema,
} from "@chowhound/shared/contracts/chowhound/internal/v1/record_batch";
import type { Delivery } from "@chowhound/shared/stream/delivery";
import { Tap } from "@chowhound/shared/tap/tap";
import { Meter } from "@chowhound/shared/telemetry/meter";
import { traceHeaderBytes } from "@chowhound/shared/telemetry/trace-header";
import {
  encodeSample,
  reduceSample,
  sampleBatch,
  sampleRawBatch,
} from "@chowhound/shared/testing/sample-batches";
import { pino } from "pino";
import { describe, expect, test, vi } from "vitest";
import { type Additions, enrichBatch } from "./enrich-batch.ts";
import { createDeliveryHandler, type DeliveryHandlerOptions } from "./enrich-delivery.ts";
import { pipelineOf } from "./pipeline-for-test.ts";
import { createPipelineSet } from "./pipeline-set.ts";

const rawBytes = encodeSample(sampleRawBatch({ records: [{}, {}], partition: 3 }));
const log = pino({ level: "silent" });
const numberOne = { epoch: 9n, sequence: 1n };
let lastSequence = 0;

function deliveryOf(bytes: Uint8Array, attempt = 1) {
  const message = { sequence: ++lastSequence, epoch: 9n, storedAtMs: 1_700_000_000_000, attempt };
  return { ...message, place: 0, bytes, ack: vi.fn(), giveBack: vi.fn() } satisfies Delivery;
}

const STATE = create(PipelinesStateSchema, { epoch: 5n, revision: 3n });

function handlerWith(options: Partial<DeliveryHandlerOptions> = {}) {
  const published: { partition: number; bytes: Uint8Array }[] = [];
  const meter = new Meter("enricher");
  const handle = createDeliveryHandler({
    pipelines: () => createPipelineSet([]),
    pipelinesState: () => STATE,
    trial: { enrich: () => Promise.reject(new Error("nothing is suspected")) },
    publish: async (batch) => published.push(batch) > 0,
    maxBytes: 1024 * 1024,
    meter,
    tap: new Tap(),
    log,
    ...options,
  });
  return { handle, published, meter };
}

async function settled(...deliveries: ReturnType<typeof deliveryOf>[]) {
  await vi.waitFor(() => {
    for (const { ack, giveBack } of deliveries)
      expect(ack.mock.calls.length + giveBack.mock.calls.length).toBe(1);
  });
}

test("publishes one message for one, to its partition, and acknowledges after that", async () => {
  const delivery = deliveryOf(rawBytes);
  const { handle, published, meter } = handlerWith();
  handle(delivery);
  await settled(delivery);
  expect(delivery.ack).toHaveBeenCalledOnce();
  expect(published).toHaveLength(1);
  expect(published[0]!.partition).toBe(3);
  expect(decodeBatch(published[0]!.bytes)).toMatchObject({
    kind: "batch",
    batch: {
      origin: { epoch: 9n, sequence: BigInt(delivery.sequence) },
      acceptedCount: 2,
      pipelinesState: { epoch: 5n, revision: 3n },
    },
  });
  expect([meter.batches, meter.records]).toEqual([1, 2]);
});

test("takes a batch that the gateway has dropped records from", async () => {
  const reduced = reduceSample(sampleRawBatch({ records: [{}, {}, {}] }), [0, 2]);
  const delivery = deliveryOf(encodeSample(reduced));
  const { handle, published, meter } = handlerWith();
  handle(delivery);
  await settled(delivery);
  const decoded = decodeBatch(published[0]!.bytes);
  expect(decoded).toMatchObject({
    kind: "batch",
    batch: { acceptedCount: 3, deadLabels: [], droppedPipelineOf: [0, 0] },
  });
  expect(meter.total("chowhound.records.failed")).toBe(0);
});

test("leaves room for the trace header of the calls", async () => {
  const raw = sampleRawBatch({ records: [{}] });
  const growing = createPipelineSet([
    pipelineOf(`- set: { values: { data: "${"y".repeat(500)}" } }`, { tenant: "*", sourceType: "*" }),
  ]);
  const enriched = async (maxBytes: number) => {
    const { handle, published } = handlerWith({ pipelines: () => growing, maxBytes });
    const delivery = { ...deliveryOf(encodeSample(raw)), sequence: 1 };
    handle(delivery);
    await settled(delivery);
    const decoded = decodeBatch(published[0]!.bytes);
    return { bytes: published[0]!.bytes.length, batch: decoded.kind === "batch" && decoded.batch };
  };
  const { bytes } = await enriched(1_000_000);
  const room = traceHeaderBytes(raw.calls.length);
  expect(await enriched(bytes + room)).toMatchObject({ bytes, batch: { deadLabels: [] } });
  expect(await enriched(bytes + room - 1)).toMatchObject({
    batch: { deadLabels: [{ reason: "outgrew_message" }] },
  });
});

describe("gives back", () => {
  test.each<[string, Uint8Array, Partial<DeliveryHandlerOptions>, number]>([
    ["at once what could not be published before the end", rawBytes, { publish: async () => false }, 0],
    ["what it may not process yet", rawBytes, { pipelines: () => undefined }, 5_000],
    ["what is too large to pass on", rawBytes, { maxBytes: rawBytes.length + 20 }, 30_000],
    ["junk too large to wrap", Buffer.alloc(5_000, 1), { maxBytes: 5_100 }, 30_000],
    ["what newer software wrote", newerEnvelope(), {}, 5_000],
  ])("%s", async (_, bytes, options, delayMs) => {
    const delivery = deliveryOf(bytes);
    const { handle, published, meter } = handlerWith(options);
    handle(delivery);
    await settled(delivery);
    expect(delivery.giveBack).toHaveBeenCalledExactlyOnceWith(delayMs);
    expect(published).toEqual([]);
    expect(meter.batches).toBe(0);
  });
});

describe("what is no batch of a gateway becomes one dead record that keeps it whole", () => {
  test.each([
    ["junk", Buffer.from("junk")],
    ["columns that disagree", encodeSample({ ...sampleRawBatch({ records: [{}] }), acceptedCount: 2 })],
    ["an enriched batch", encodeSample(sampleBatch({ records: [{}] }))],
  ])("%s", async (_, bytes) => {
    const delivery = deliveryOf(bytes);
    const { handle, published } = handlerWith();
    handle(delivery);
    await settled(delivery);
    handle({ ...delivery, attempt: 2 });
    await vi.waitFor(() => expect(published).toHaveLength(2));
    expect(delivery.giveBack).not.toHaveBeenCalled();
    expect(published[1]).toEqual(published[0]);
    const decoded = decodeBatch(published[0]!.bytes);
    expect(decoded).toMatchObject({
      kind: "batch",
      batch: {
        origin: { epoch: 9n, sequence: BigInt(delivery.sequence) },
        acceptedCount: 1,
        acceptedAtUs: 1_700_000_000_000_000n,
        calls: [{ tenantId: "" }],
        deadLabels: [
          { index: 0, stage: "enricher", reason: "undecodable_batch", detail: expect.any(String) },
        ],
      },
    });
    if (decoded.kind === "batch")
      expect(Buffer.from(decoded.batch.originals[0]!)).toEqual(Buffer.from(bytes));
  });

  test("two messages are two batches", async () => {
    const deliveries = [deliveryOf(Buffer.from("junk")), deliveryOf(Buffer.from("junk"))];
    const { handle, published } = handlerWith();
    deliveries.forEach(handle);
    await settled(...deliveries);
    const [one, two] = published.map(({ bytes }) => decodeBatch(bytes));
    expect(one).not.toMatchObject({
      batch: { batchId: (two as { batch: { batchId: unknown } }).batch.batchId },
    });
  });
});

describe("a batch delivered more than three times is enriched in a trial, and holds up no other", () => {
  const trial = (outcome: () => Promise<Additions | undefined>) => {
    const enrich = vi.fn<DeliveryHandlerOptions["trial"]["enrich"]>(outcome);
    return { enrich, ...handlerWith({ trial: { enrich } }) };
  };

  test("and passed on with what came of it", async () => {
    const additions = enrichBatch(sampleRawBatch({ records: [{}, {}] }), numberOne, createPipelineSet([]), {
      maxBytes: 1024,
    });
    const { promise, resolve } = Promise.withResolvers<Additions>();
    const { handle, enrich, published } = trial(() => promise);
    const deliveries = [3, 4, 1].map((attempt) => deliveryOf(rawBytes, attempt));
    deliveries.forEach(handle);
    await settled(deliveries[0]!, deliveries[2]!);
    expect(enrich).toHaveBeenCalledExactlyOnceWith(
      { message: rawBytes, records: 2, origin: { epoch: 9n, sequence: BigInt(deliveries[1]!.sequence) } },
      1024 * 1024,
    );
    expect(deliveries[1]!.ack).not.toHaveBeenCalled();
    resolve(additions);
    await settled(deliveries[1]!);
    expect(published).toHaveLength(3);
    expect(decodeBatch(published[2]!.bytes)).toMatchObject({ kind: "batch", batch: { origin: numberOne } });
  });

  test.each([
    ["at once where the process drains", async () => undefined, 0],
    ["after a while where no record is to blame", () => Promise.reject(new Error("no room")), 30_000],
  ])("or given back %s", async (_, outcome, delayMs) => {
    const { handle, published } = trial(outcome);
    const delivery = deliveryOf(rawBytes, 4);
    handle(delivery);
    await settled(delivery);
    expect(delivery.giveBack).toHaveBeenCalledExactlyOnceWith(delayMs);
    expect(published).toEqual([]);
  });
});

test("lets others run between two batches", async () => {
  const deliveries = Array.from({ length: 20 }, () => deliveryOf(rawBytes));
  const { handle } = handlerWith();
  deliveries.forEach(handle);
  let turns = 0;
  const counting = setInterval(() => turns++, 0);
  const acknowledged: number[] = [];
  for (const { ack } of deliveries) ack.mockImplementation(() => acknowledged.push(turns));
  await new Promise((resolve) => setImmediate(resolve));
  expect(acknowledged.length).toBeLessThan(5);
  await settled(...deliveries);
  clearInterval(counting);
});

function newerEnvelope(): Uint8Array {
  return toBinary(
    RecordBatchSchema,
    create(RecordBatchSchema, { envelopeVersion: NEWEST_ENVELOPE_VERSION + 1 }),
  );
}
