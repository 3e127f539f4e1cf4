import { setTimeout as sleep } from "node:timers/promises";
import { create, toBinary } from "@bufbuild/protobuf";
import { decodeBatch, ENVELOPE_VERSION } from "@chowhound/shared/batch/decode-batch";
import { RecordBatchSchema } from "@chowhound/shared/contracts/chowhound/internal/v1/record_batch";
import { Meter } from "@chowhound/shared/runtime/meter";
import type { Delivery } from "@chowhound/shared/stream/stage-consumer";
import { encodeSample, sampleBatch, sampleRawBatch } from "@chowhound/shared/testing/sample-batches";
import { pino } from "pino";
import { describe, expect, test, vi } from "vitest";
import { createDeliveryHandler, type DeliveryHandlerOptions } from "./enrich-delivery.ts";
import { createPipelineSet } from "./pipeline-set.ts";

const rawBytes = encodeSample(sampleRawBatch({ records: [{}, {}], partition: 3 }));
const log = pino({ level: "silent" });
let lastSequence = 0;

function deliveryOf(bytes: Uint8Array, attempt = 1) {
  const delivery = { sequence: ++lastSequence, epoch: 9n, storedAtMs: 1_700_000_000_000, attempt, bytes };
  return { ...delivery, ack: vi.fn(), giveBack: vi.fn() } satisfies Delivery;
}

function handlerWith(options: Partial<DeliveryHandlerOptions> = {}) {
  const published: { partition: number; bytes: Uint8Array }[] = [];
  const meter = new Meter();
  const handle = createDeliveryHandler({
    pipelines: () => createPipelineSet([]),
    publish: async (partition, bytes) => published.push({ partition, bytes }) > 0,
    maxBytes: 1024 * 1024,
    meter,
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
    batch: { origin: { epoch: 9n, sequence: BigInt(delivery.sequence) }, acceptedCount: 2 },
  });
  expect([meter.batches, meter.records]).toEqual([1, 2]);
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

test("a batch delivered more than three times is processed while nothing else is", async () => {
  let inFlight = 0;
  const seen: number[] = [];
  const { handle } = handlerWith({
    publish: async () => {
      seen.push(++inFlight);
      await sleep(5);
      inFlight--;
      return true;
    },
  });
  const deliveries = [1, 3, 4, 1, 9, 1, 1].map((attempt) => deliveryOf(rawBytes, attempt));
  deliveries.forEach(handle);
  await settled(...deliveries);
  expect(seen).toEqual([1, 2, 1, 1, 1, 1, 2]);
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
  return toBinary(RecordBatchSchema, create(RecordBatchSchema, { envelopeVersion: ENVELOPE_VERSION + 1 }));
}
