import { setTimeout as sleep } from "node:timers/promises";
import { type JetStreamManager, jetstream, jetstreamManager } from "@nats-io/jetstream";
import { connect, headers, type NatsConnection } from "@nats-io/transport-node";
import { pino } from "pino";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, inject, test, vi } from "vitest";
import { bundleBatches } from "../batch/bundle.ts";
import { ServiceStatus } from "../runtime/service-status.ts";
import { Meter } from "../telemetry/meter.ts";
import { encodeTraceHeader, MAX_TRACED_CALLS, traceHeaderName } from "../telemetry/trace-header.ts";
import { freshPrefix } from "../testing/test-servers.ts";
import type { Delivery } from "./delivery.ts";
import { StageConsumer, type StageConsumerOptions } from "./stage-consumer.ts";
import { ensureStream, type NatsNames, natsNames, streamEpoch } from "./topology.ts";

const streamOptions = { maxBytes: 16 << 20, replicas: 1 };
const ackWaitMs = 1_000;

let nc: NatsConnection;
let jsm: JetStreamManager;
let names: NatsNames;
let started: StageConsumer[];
let received: Delivery[];
let meter: Meter;

beforeAll(async () => {
  nc = await connect({ servers: inject("natsUrl") });
  jsm = await jetstreamManager(nc);
});
afterAll(() => nc.close());

beforeEach(async () => {
  names = natsNames(freshPrefix());
  started = [];
  received = [];
  meter = new Meter("enricher");
});
afterEach(async () => {
  const drains = started.map((consumer) => consumer.drain());
  const settling = setInterval(() => received.forEach((delivery) => void delivery.ack()), 20);
  await Promise.all(drains);
  clearInterval(settling);
  for (const role of ["raw", "enriched"] as const)
    await jsm.streams.delete(names.stream(role)).catch(() => {});
});

/** A consumer that notes what it is given and leaves it to the test to settle it. */
function createConsumer(options: Partial<StageConsumerOptions> = {}): StageConsumer {
  const consumer = new StageConsumer({
    nc,
    names,
    stream: "raw",
    streamOptions,
    stage: "stage",
    dependency: new ServiceStatus().dependency("raw-stream"),
    ackWaitMs,
    maxHeld: 10,
    log: pino({ enabled: false }),
    meter,
    onDelivery: (delivery) => void received.push(delivery),
    ...options,
  });
  started.push(consumer);
  return consumer;
}

async function startConsumer(options?: Partial<StageConsumerOptions>): Promise<StageConsumer> {
  const consumer = createConsumer(options);
  await consumer.start();
  return consumer;
}

async function publish(count: number, from = 0): Promise<void> {
  const js = jetstream(nc);
  for (let i = from; i < from + count; i++) await js.publish(names.subject("raw", 0), `message ${i}`);
}

const texts = (): string[] => received.map(({ bytes }) => new TextDecoder().decode(bytes));
const numbered = (count: number, from = 0): string[] =>
  Array.from({ length: count }, (_, i) => `message ${from + i}`);

async function unacknowledged(consumer: StageConsumer): Promise<number> {
  await nc.flush();
  return (await consumer.lag())[0]!.unacknowledgedBatches;
}

describe("in quiet", () => {
  test("delivers messages with any headers, and traces only what a trace header names", async () => {
    await ensureStream(nc, names, "raw", streamOptions);
    const traced = headers();
    const context = {
      traceId: "4bf92f3577b34da6a3ce929d0e0e4736",
      spanId: "00f067aa0ba902b7",
      traceFlags: 1,
    };
    const calls = Array.from({ length: MAX_TRACED_CALLS }, (_, call) => [call, context] as const);
    traced.set(traceHeaderName(0), encodeTraceHeader(new Map(calls), Number.POSITIVE_INFINITY)!);
    const nonsense = headers();
    nonsense.set(traceHeaderName(0), "nonsense");
    const malformed = headers();
    Object.assign(malformed, { encode: () => Buffer.from("NATS/1.0\r\nnot a (key): x\r\n\r\n") });
    for (const each of [malformed, nonsense, traced])
      await jetstream(nc).publish(names.subject("raw", 0), "message", { headers: each });
    await startConsumer();
    await vi.waitFor(() => expect(received).toHaveLength(3), 5_000);
    expect(received.map(({ trace }) => trace?.callContexts.length)).toEqual([
      undefined,
      undefined,
      MAX_TRACED_CALLS,
    ]);
  });

  test("delivers every message once and empties the stream", async () => {
    const epoch = streamEpoch(await ensureStream(nc, names, "raw", streamOptions));
    await publish(200);
    const onDelivery = (delivery: Delivery): void => {
      received.push(delivery);
      setImmediate(delivery.ack);
    };
    const consumer = await startConsumer({ onDelivery });
    await publish(100, 200);

    await vi.waitFor(() => expect(received.length).toBeGreaterThanOrEqual(300), 5_000);
    await vi.waitFor(async () => {
      expect((await jsm.streams.info(names.stream("raw"))).state.messages).toBe(0);
    });
    expect(texts()).toEqual(numbered(300));
    expect(received.map(({ sequence }) => sequence)).toEqual(Array.from({ length: 300 }, (_, i) => i + 1));
    expect(new Set(received.map((delivery) => delivery.epoch))).toEqual(new Set([epoch]));
    expect(new Set(received.map((delivery) => delivery.attempt))).toEqual(new Set([1]));
    expect(await consumer.lag()).toEqual([
      {
        stream: names.stream("raw"),
        stage: "stage",
        consumer: `stage-${epoch}`,
        pendingBatches: 0,
        unacknowledgedBatches: 0,
        pendingRecordsEstimate: 0,
        oldestAgeMs: undefined,
        streamFill: 0,
      },
    ]);
  });

  test("shares the stream among replicas", async () => {
    const taken: number[] = [0, 0];
    const replica = (index: number) =>
      startConsumer({
        maxHeld: 4,
        onDelivery: (delivery) => {
          received.push(delivery);
          taken[index]! += 1;
          setTimeout(delivery.ack, 2);
        },
      });
    await Promise.all([replica(0), replica(1)]);
    await publish(200);
    await vi.waitFor(() => expect(received.length).toBeGreaterThanOrEqual(200), 5_000);
    await sleep(100);
    expect(texts().toSorted()).toEqual(numbered(200).toSorted());
    expect(Math.min(...taken)).toBeGreaterThan(0);
  });

  test("tells how far it is behind", async () => {
    const consumer = await startConsumer({ maxHeld: 4 });
    meter.batch(30, 1_000);
    await publish(10);
    await vi.waitFor(() => expect(received).toHaveLength(4));
    // While messages come in, the server's count of what is pending may lag behind for a moment.
    await vi.waitFor(async () =>
      expect((await consumer.lag())[0]).toMatchObject({
        pendingBatches: 6,
        unacknowledgedBatches: 4,
        pendingRecordsEstimate: 180,
      }),
    );
    const { oldestAgeMs, streamFill } = (await consumer.lag())[0]!;
    expect(streamFill).toBeGreaterThan(0);
    expect(streamFill).toBeLessThan(0.01);
    await sleep(100);
    expect((await consumer.lag())[0]!.oldestAgeMs).toBeGreaterThanOrEqual(oldestAgeMs! + 100);
  });
});

describe("a held delivery", () => {
  test("that is given back comes again after the delay", async () => {
    await startConsumer();
    await publish(1);
    await vi.waitFor(() => expect(received).toHaveLength(1));
    const givenBackAt = performance.now();
    received[0]!.giveBack(700);
    await vi.waitFor(() => expect(received).toHaveLength(2), 5_000);
    expect(performance.now() - givenBackAt).toBeGreaterThan(650);
    expect(received[1]).toMatchObject({ sequence: 1, attempt: 2, epoch: received[0]!.epoch });
    expect(meter.total("chowhound.redeliveries")).toBe(1);
  });

  test("that is given back without a delay comes again at once", async () => {
    await startConsumer();
    await publish(1);
    await vi.waitFor(() => expect(received).toHaveLength(1));
    received[0]!.giveBack(0);
    await vi.waitFor(() => expect(received).toHaveLength(2), 900);
  });

  test("does not come again, however long it is held", async () => {
    const consumer = await startConsumer();
    await publish(3);
    await vi.waitFor(() => expect(received).toHaveLength(3));
    await sleep(3.5 * ackWaitMs);
    expect(texts()).toEqual(numbered(3));
    for (const delivery of received) delivery.ack();
    await vi.waitFor(async () => expect(await unacknowledged(consumer)).toBe(0));
  });

  test("is settled once: what is called later has no effect", async () => {
    const consumer = await startConsumer();
    await publish(1);
    await vi.waitFor(() => expect(received).toHaveLength(1));
    received[0]!.ack();
    received[0]!.giveBack(0);
    received[0]!.ack();
    await sleep(300);
    expect(received).toHaveLength(1);
    await vi.waitFor(async () => expect(await unacknowledged(consumer)).toBe(0));
  });
});

describe("a message with several batches", () => {
  const bundle = bundleBatches([..."abc"].map((text) => Buffer.from(text)));
  const publishBundle = (role: "raw" | "enriched") => jetstream(nc).publish(names.subject(role, 0), bundle);
  const startOn = async (role: "raw" | "enriched"): Promise<StageConsumer> => {
    await ensureStream(nc, names, role, streamOptions);
    return await startConsumer({ stream: role });
  };

  test("is delivered batch by batch, each with the trace of its calls", async () => {
    const consumer = await startOn("enriched");
    const traced = headers();
    const span = { traceId: "4bf92f3577b34da6a3ce929d0e0e4736", spanId: "00f067aa0ba902b7", traceFlags: 1 };
    traced.set(traceHeaderName(2), encodeTraceHeader(new Map([[5, span]]), 1_000)!);
    await jetstream(nc).publish(names.subject("enriched", 0), bundle, { headers: traced });
    await vi.waitFor(() => expect(texts()).toEqual(["a", "b", "c"]));
    expect(received.map(({ place, sequence }) => [place, sequence])).toEqual([
      [0, 1],
      [1, 1],
      [2, 1],
    ]);
    expect(received.map(({ trace }) => trace?.callContexts.length)).toEqual([undefined, undefined, 1]);
    expect(await unacknowledged(consumer)).toBe(1);
  });

  test("is acknowledged when all of them are", async () => {
    const consumer = await startOn("enriched");
    await publishBundle("enriched");
    await vi.waitFor(() => expect(received).toHaveLength(3));
    for (const { ack } of received.slice(0, 2)) ack();
    // Once more: that is not the third.
    received[0]!.ack();
    await sleep(100);
    expect(await unacknowledged(consumer)).toBe(1);
    received[2]!.ack();
    await vi.waitFor(async () => expect(await unacknowledged(consumer)).toBe(0));
  });

  test("comes again where one of them is given back, once all are settled", async () => {
    await startOn("enriched");
    await publishBundle("enriched");
    await vi.waitFor(() => expect(received).toHaveLength(3));
    received[1]!.giveBack(0);
    received[0]!.ack();
    await sleep(300);
    expect(received).toHaveLength(3);
    received[2]!.ack();
    await vi.waitFor(() => expect(texts()).toEqual([..."abcabc"]));
    expect(received.slice(3).every(({ attempt }) => attempt === 2)).toBe(true);
  });

  test("counts its batches for the estimate of what is pending", async () => {
    await ensureStream(nc, names, "enriched", streamOptions);
    const consumer = await startConsumer({ stream: "enriched", maxHeld: 1 });
    meter.batch(10, 1_000);
    for (let i = 0; i < 3; i++) await publishBundle("enriched");
    await vi.waitFor(async () =>
      expect((await consumer.lag())[0]).toMatchObject({ pendingBatches: 2, pendingRecordsEstimate: 60 }),
    );
  });

  test("is none in RAW, whose numbers are those of batches", async () => {
    await startOn("raw");
    await publishBundle("raw");
    await vi.waitFor(() => expect(received).toHaveLength(1));
    expect(Buffer.from(received[0]!.bytes)).toEqual(Buffer.from(bundle));
  });
});

describe("bounds", () => {
  test("holds no more than it has room for", async () => {
    const consumer = await startConsumer({ maxHeld: 8 });
    await publish(30);
    await vi.waitFor(() => expect(received).toHaveLength(8));
    await sleep(1_200);
    expect(received).toHaveLength(8);
    await vi.waitFor(async () => expect(await unacknowledged(consumer)).toBe(8));

    for (const delivery of received.slice(0, 5)) delivery.ack();
    await vi.waitFor(() => expect(received).toHaveLength(13));
    await sleep(200);
    expect(texts()).toEqual(numbered(13));
    await vi.waitFor(async () => expect(await unacknowledged(consumer)).toBe(8));
  });

  test("works with room for one", async () => {
    let held = 0;
    let mostHeld = 0;
    const onDelivery = (delivery: Delivery): void => {
      received.push(delivery);
      mostHeld = Math.max(mostHeld, ++held);
      setTimeout(() => {
        held--;
        delivery.ack();
      }, 5);
    };
    await startConsumer({ maxHeld: 1, onDelivery });
    await publish(20);
    await vi.waitFor(() => expect(texts()).toEqual(numbered(20)), 5_000);
    expect(mostHeld).toBe(1);
  });

  test("stops while it is paused and goes on when it is resumed", async () => {
    const onDelivery = (delivery: Delivery): void => {
      received.push(delivery);
      delivery.ack();
    };
    const consumer = await startConsumer({ onDelivery });
    await publish(3);
    await vi.waitFor(() => expect(received).toHaveLength(3));
    consumer.pause();
    // A fetch that is under way ends first.
    await sleep(1_100);
    await publish(3, 3);
    await sleep(1_100);
    expect(received).toHaveLength(3);
    consumer.resume();
    await vi.waitFor(() => expect(texts()).toEqual(numbered(6)), 900);
  });

  test("takes nothing where it is paused before it starts", async () => {
    await ensureStream(nc, names, "raw", streamOptions);
    await publish(2);
    const consumer = createConsumer();
    consumer.pause();
    await consumer.start();
    await sleep(300);
    expect(received).toHaveLength(0);
    consumer.resume();
    await vi.waitFor(() => expect(received).toHaveLength(2));
  });
});

describe("draining", () => {
  test("waits for what is held, then leaves nothing unacknowledged but what was given back", async () => {
    const consumer = await startConsumer();
    await publish(3);
    await vi.waitFor(() => expect(received).toHaveLength(3));
    let isDrained = false;
    const drained = consumer.drain().then(() => {
      isDrained = true;
    });
    received[0]!.ack();
    received[1]!.giveBack(60_000);
    // Longer than a fetch and than ack_wait: held messages stay held while draining.
    await sleep(2_300);
    expect(isDrained).toBe(false);
    received[2]!.ack();
    await drained;
    await vi.waitFor(async () =>
      expect((await consumer.lag())[0]).toMatchObject({ pendingBatches: 0, unacknowledgedBatches: 1 }),
    );

    await publish(2, 3);
    await sleep(300);
    expect(texts()).toEqual(numbered(3));
  });

  test("in the midst of traffic loses nothing in transit", async () => {
    const onDelivery = (delivery: Delivery): void => {
      received.push(delivery);
      setTimeout(delivery.ack, 1);
    };
    const consumer = await startConsumer({ onDelivery });
    const publishing = publish(500);
    await vi.waitFor(() => expect(received.length).toBeGreaterThan(50));
    await consumer.drain();
    const count = received.length;
    await publishing;
    await vi.waitFor(async () =>
      expect((await consumer.lag())[0]).toMatchObject({
        pendingBatches: 500 - count,
        unacknowledgedBatches: 0,
      }),
    );
    expect(texts()).toEqual(numbered(count));
    // The next process takes over where this one ended.
    await startConsumer({ onDelivery });
    await vi.waitFor(() => expect(texts()).toEqual(numbered(500)), 5_000);
  });

  test("ends a start that is under way: nothing is taken", async () => {
    await ensureStream(nc, names, "raw", streamOptions);
    await publish(1);
    const consumer = createConsumer();
    const starting = consumer.start();
    await consumer.drain();
    await starting;
    await sleep(300);
    expect(received).toHaveLength(0);
  });

  test("may come twice, paused, or without a start", async () => {
    await createConsumer().drain();
    const consumer = await startConsumer();
    consumer.pause();
    await Promise.all([consumer.drain(), consumer.drain()]);
    await consumer.drain();
  });
});

describe("binding anew", () => {
  const onDelivery = (delivery: Delivery): void => {
    received.push(delivery);
    delivery.ack();
  };

  test("when the stream is made anew: under the new epoch", async () => {
    const consumer = await startConsumer({ onDelivery });
    await publish(2);
    await vi.waitFor(() => expect(received).toHaveLength(2));
    await jsm.streams.delete(names.stream("raw"));
    const epoch = streamEpoch(await ensureStream(nc, names, "raw", streamOptions));
    await publish(3, 2);
    await vi.waitFor(() => expect(texts()).toEqual(numbered(5)), 5_000);
    expect(received[4]).toMatchObject({ sequence: 3, attempt: 1, epoch });
    expect(received[0]!.epoch).toBeLessThan(epoch);
    expect((await consumer.lag())[0]!.consumer).toBe(`stage-${epoch}`);
    expect(
      meter.total("chowhound.consumer.restarts", { "chowhound.reason": "error" }),
    ).toBeGreaterThanOrEqual(1);
  });

  test("when the stream is gone: makes it itself", async () => {
    await startConsumer({ onDelivery });
    await publish(1);
    await vi.waitFor(() => expect(received).toHaveLength(1));
    await jsm.streams.delete(names.stream("raw"));
    await vi.waitFor(() => jsm.streams.info(names.stream("raw")), 5_000);
    await publish(1, 1);
    await vi.waitFor(() => expect(texts()).toEqual(numbered(2)), 5_000);
    expect(received[1]!.epoch).toBeGreaterThan(received[0]!.epoch);
  });

  test("when the durable is deleted: what is held comes again, and nothing is left over", async () => {
    const consumer = await startConsumer();
    await publish(2);
    await vi.waitFor(() => expect(received).toHaveLength(2));
    await jsm.consumers.delete(names.stream("raw"), (await consumer.lag())[0]!.consumer);
    await vi.waitFor(() => expect(texts()).toEqual([...numbered(2), ...numbered(2)]), 5_000);
    for (const delivery of received) delivery.ack();
    await publish(1, 2);
    await vi.waitFor(() => expect(texts()[4]).toBe("message 2"));
    received[4]!.ack();
    await vi.waitFor(async () => expect(await unacknowledged(consumer)).toBe(0));
  });

  test("with another ack_wait: the durable takes it over", async () => {
    const first = await startConsumer();
    await first.drain();
    const second = await startConsumer({ ackWaitMs: 5_000, onDelivery });
    const { consumer } = (await second.lag())[0]!;
    expect((await jsm.consumers.info(names.stream("raw"), consumer)).config.ack_wait).toBe(5e9);
    await publish(1);
    await vi.waitFor(() => expect(received).toHaveLength(1));
  });
});
