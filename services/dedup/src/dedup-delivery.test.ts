import { create, toBinary } from "@bufbuild/protobuf";
import {
  decodeBatch,
  NEWEST_ENVELOPE_VERSION,
  REPLAY_ENVELOPE_VERSION,
} from "@chowhound/shared/batch/decode-batch";
import { packBatch } from "@chowhound/shared/batch/pack-batch";
import {
  type RecordBatch,
  RecordBatchSchema,
} from "@chowhound/shared/contracts/chowhound/internal/v1/record_batch";
import { createFingerprintIndex, type FingerprintIndex } from "@chowhound/shared/evidence/fingerprint-index";
import type { Delivery } from "@chowhound/shared/stream/delivery";
import { Tap } from "@chowhound/shared/tap/tap";
import { Meter } from "@chowhound/shared/telemetry/meter";
import { traceHeaderBytes } from "@chowhound/shared/telemetry/trace-header";
import { encodeSample, sampleBatch } from "@chowhound/shared/testing/sample-batches";
import { pino } from "pino";
import { describe, expect, it } from "vitest";
import { createDeliveryHandler } from "./dedup-delivery.ts";

/** Handles one message; tells what was published and what became of the delivery. */
async function handle(
  bytes: Uint8Array,
  given: { index?: FingerprintIndex; mayDrop?: boolean; maxBytes?: number; isDraining?: boolean },
) {
  const published: { partition: number; bytes: Uint8Array }[] = [];
  const settled: string[] = [];
  const delivery: Delivery = {
    bytes,
    sequence: 1,
    epoch: 1n,
    place: 0,
    attempt: 1,
    storedAtMs: 0,
    ack: () => settled.push("ack"),
    giveBack: (delayMs) => settled.push(`give back in ${delayMs} ms`),
  };
  const handler = createDeliveryHandler({
    index: given.index ?? createFingerprintIndex({ capacity: 1_000 }),
    confirmation: { ask: (onAnswer) => setImmediate(onAnswer, given.mayDrop ?? true) },
    publish: async (batch) => {
      published.push(batch);
      return !given.isDraining;
    },
    maxBytes: given.maxBytes ?? 1_000_000,
    meter: new Meter("dedup"),
    tap: new Tap(),
    log: pino({ enabled: false }),
  });
  await handler(delivery);
  return { published, settled };
}

function indexOf(batch: RecordBatch): FingerprintIndex {
  const index = createFingerprintIndex({ capacity: 1_000 });
  for (let at = 0; at < batch.fingerprints.length; at += 16) index.add(batch.fingerprints, at);
  return index;
}

describe("handling a delivery", () => {
  const batch = sampleBatch({ records: [{}, {}], partition: 3 });
  const bytes = encodeSample(batch);

  describe("that is packed", () => {
    const large = sampleBatch({
      records: Array.from({ length: 200 }, (_, i) => ({ data: `Good morning, number ${i}. `.repeat(20) })),
      partition: 3,
    });
    const { origin, pipelines, pipelineOf, fingerprints, $typeName, ...raw } = large;
    const ofGateway = create(RecordBatchSchema, {
      ...raw,
      pipelines: [],
      pipelineOf: [],
      fingerprints: new Uint8Array(0),
    });
    delete ofGateway.origin;
    const added = create(RecordBatchSchema, { origin, pipelines, pipelineOf, fingerprints });
    const packed = Buffer.concat([
      packBatch(encodeSample(ofGateway), { ...ofGateway, partition: 3 }),
      toBinary(RecordBatchSchema, added),
    ]);

    it("passes new records on as they came, to the batch's partition", async () => {
      expect(packed.length).toBeLessThan(encodeSample(large).length / 2);
      const { published, settled } = await handle(packed, {});
      expect(settled).toEqual(["ack"]);
      expect(published).toHaveLength(1);
      expect(published[0]!.partition).toBe(3);
      expect(published[0]!.bytes).toBe(packed);
    });

    it("drops what is committed, and packs the rest", async () => {
      const index = createFingerprintIndex({ capacity: 1_000 });
      index.add(large.fingerprints, 199 * 16);
      const { published } = await handle(packed, { index });
      expect(published[0]!.bytes.length).toBeLessThan(encodeSample(large).length / 2);
      const decoded = decodeBatch(published[0]!.bytes);
      if (decoded.kind !== "batch") throw new Error(JSON.stringify(decoded));
      expect(decoded.batch.originals).toHaveLength(199);
      expect(decoded.batch.dropped[0]?.count).toBe(1);
    });

    it("drops nothing of what is labelled dead", async () => {
      const index = createFingerprintIndex({ capacity: 1_000 });
      index.add(large.fingerprints, 0);
      const label = { index: 0, stage: "enricher", reason: "step_error" };
      const dead = create(RecordBatchSchema, { deadLabels: [label] });
      const bytes = Buffer.concat([packed, toBinary(RecordBatchSchema, dead)]);
      const { published } = await handle(bytes, { index });
      expect(published[0]!.bytes).toBe(bytes);
    });
  });

  it("publishes what is left to the batch's partition, then acknowledges", async () => {
    const { published, settled } = await handle(bytes, { index: indexOf(batch) });
    expect(settled).toEqual(["ack"]);
    expect(published).toHaveLength(1);
    expect(published[0]?.partition).toBe(3);
    expect(decodeBatch(published[0]!.bytes)).toMatchObject({ batch: { originals: [], acceptedCount: 2 } });
  });

  it("passes everything without the store's leave", async () => {
    const { published } = await handle(bytes, { index: indexOf(batch), mayDrop: false });
    expect(published[0]?.bytes).toBe(bytes);
  });

  it("passes a replay on whole, whatever it knows: the books have to settle its letters", async () => {
    const replay = encodeSample({
      ...batch,
      envelopeVersion: REPLAY_ENVELOPE_VERSION,
      replayOf: Buffer.alloc(16, 7),
      replayOrdinals: [0, 1],
    });
    const { published } = await handle(replay, { index: indexOf(batch) });
    expect(published[0]?.bytes).toBe(replay);
  });

  it("drops only what the index still holds when the answer comes", async () => {
    const index = indexOf(batch);
    setImmediate(() => index.clear());
    const { published } = await handle(bytes, { index });
    expect(published[0]?.bytes).toBe(bytes);
  });

  it("passes a batch on whole that would outgrow a message by its counts", async () => {
    const { published, settled } = await handle(bytes, { index: indexOf(batch), maxBytes: 10 });
    expect(published[0]?.bytes).toBe(bytes);
    expect(settled).toEqual(["ack"]);
  });

  it("leaves room for the trace header of its calls", async () => {
    const { published } = await handle(bytes, { index: indexOf(batch) });
    const reduced = published[0]!.bytes.length;
    expect(reduced).toBeLessThan(bytes.length);
    const room = traceHeaderBytes(batch.calls.length);
    const fits = await handle(bytes, { index: indexOf(batch), maxBytes: reduced + room });
    expect(fits.published[0]!.bytes).toHaveLength(reduced);
    const fitsNot = await handle(bytes, { index: indexOf(batch), maxBytes: reduced + room - 1 });
    expect(fitsNot.published[0]!.bytes).toBe(bytes);
  });

  it("passes a batch on whole when it can't read whose record it would drop", async () => {
    const broken = sampleBatch({ records: [{}, {}] });
    broken.originals[1] = Buffer.from([0xff]);
    const whole = encodeSample(broken);
    const { published, settled } = await handle(whole, { index: indexOf(broken) });
    expect(published[0]?.bytes).toBe(whole);
    expect(settled).toEqual(["ack"]);
  });

  it("gives back what was not acknowledged downstream", async () => {
    expect((await handle(bytes, { isDraining: true })).settled).toEqual(["give back in 0 ms"]);
  });

  it("gives a batch of newer software back for a while and publishes nothing", async () => {
    const { published, settled } = await handle(
      encodeSample({ ...batch, envelopeVersion: NEWEST_ENVELOPE_VERSION + 1 }),
      {},
    );
    expect(published).toEqual([]);
    expect(settled).toEqual(["give back in 5000 ms"]);
  });

  it("passes on what is no batch", async () => {
    const garbage = Buffer.from("no batch");
    const { published, settled } = await handle(garbage, {});
    expect(published).toMatchObject([{ partition: 0, bytes: garbage }]);
    expect(settled).toEqual(["ack"]);
  });
});
