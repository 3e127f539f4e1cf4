import { setTimeout as sleep } from "node:timers/promises";
import { type JetStreamManager, jetstream, jetstreamManager } from "@nats-io/jetstream";
import { connect, type NatsConnection } from "@nats-io/transport-node";
import { context, trace } from "@opentelemetry/api";
import { InMemorySpanExporter, NodeTracerProvider, SimpleSpanProcessor } from "@opentelemetry/sdk-trace-node";
import { pino } from "pino";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, inject, test, vi } from "vitest";
import { unbundle } from "../batch/bundle.ts";
import { Meter } from "../telemetry/meter.ts";
import { startStageTrace } from "../telemetry/stage-trace.ts";
import { decodeTraceHeader, encodeTraceHeader, traceHeaderName } from "../telemetry/trace-header.ts";
import { freshPrefix } from "../testing/test-servers.ts";
import { BundlePublisher, type BundlePublisherOptions, type PassedBatch } from "./bundle-publisher.ts";
import { ensureStream, type NatsNames, natsNames } from "./topology.ts";

const KIB = 1024;

let nc: NatsConnection;
let jsm: JetStreamManager;
let names: NatsNames;
let stopping: AbortController;

beforeAll(async () => {
  nc = await connect({ servers: inject("natsUrl") });
  jsm = await jetstreamManager(nc);
});
afterAll(() => nc.close());
beforeEach(() => {
  names = natsNames(freshPrefix());
  stopping = new AbortController();
});
afterEach(async () => {
  stopping.abort();
  await jsm.streams.delete(names.stream("enriched")).catch(() => {});
});

async function createPublisher(
  options: Partial<BundlePublisherOptions> = {},
  streamBytes = 16 * 1024 * KIB,
): Promise<BundlePublisher> {
  await ensureStream(nc, names, "enriched", { maxBytes: streamBytes, replicas: 1 });
  return new BundlePublisher({
    js: jetstream(nc),
    stream: names.stream("enriched"),
    subjectOf: (partition) => names.subject("enriched", partition),
    maxBytes: 1024 * KIB,
    maxDistanceMs: 0,
    log: pino({ enabled: false }),
    meter: new Meter("enricher"),
    signal: stopping.signal,
    ...options,
  });
}

const batchOf = (text: string, more: Partial<PassedBatch> = {}): PassedBatch => ({
  partition: 0,
  bytes: Buffer.from(text),
  records: 1,
  trace: undefined,
  ...more,
});

/** The batches of each message in the stream, as texts. */
async function messages(): Promise<string[][]> {
  const { first_seq, last_seq } = (await jsm.streams.info(names.stream("enriched"))).state;
  const found: string[][] = [];
  for (let seq = first_seq; seq <= last_seq; seq++) {
    const message = await jsm.streams.getMessage(names.stream("enriched"), { seq });
    found.push(unbundle(message!.data).map((bytes) => Buffer.from(bytes).toString().slice(0, 3)));
  }
  return found;
}

describe("small batches", () => {
  test("that are there together go together, in their order", async () => {
    const publisher = await createPublisher();
    const published = [..."abc"].map((text) => publisher.publish(batchOf(text)));
    expect(await Promise.all(published)).toEqual([true, true, true]);
    expect(await messages()).toEqual([["a", "b", "c"]]);
  });

  test("wait for nothing when they come alone", async () => {
    const publisher = await createPublisher({ maxDistanceMs: 10_000 });
    for (const text of "ab") {
      const startedMs = performance.now();
      await publisher.publish(batchOf(text));
      expect(performance.now() - startedMs).toBeLessThan(1_000);
      await sleep(300);
    }
    expect(await messages()).toEqual([["a"], ["b"]]);
  });

  test("collect while a message is on its way", async () => {
    const publisher = await createPublisher();
    const first = publisher.publish(batchOf("a"));
    await new Promise(setImmediate);
    const others = [..."bc"].map((text) => publisher.publish(batchOf(text)));
    await Promise.all([first, ...others]);
    expect(await messages()).toEqual([["a"], ["b", "c"]]);
  });

  test("of several partitions go each its own way", async () => {
    const publisher = await createPublisher();
    const published = [..."abcd"].map((text, i) => publisher.publish(batchOf(text, { partition: i % 2 })));
    await Promise.all(published);
    expect((await messages()).toSorted()).toEqual([
      ["a", "c"],
      ["b", "d"],
    ]);
  });

  test("are handed on with the spans of each one's calls", async () => {
    const exporter = new InMemorySpanExporter();
    const provider = new NodeTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] });
    provider.register();
    try {
      const traceIdOf = (digit: number): string => `${digit}`.repeat(32);
      const traceOf = (digit: number) => {
        const parent = { traceId: traceIdOf(digit), spanId: "00f067aa0ba902b7", traceFlags: 1 };
        return startStageTrace(encodeTraceHeader(new Map([[digit, parent]]), 1_000), "in", 1);
      };
      const publisher = await createPublisher();
      const traces = [traceOf(1), undefined, traceOf(3)];
      await Promise.all(traces.map((each, i) => publisher.publish(batchOf(`${i}`, { trace: each }))));
      const { header } = (await jsm.streams.getMessage(names.stream("enriched"), { seq: 1 }))!;
      const handedOn = [0, 1, 2].map((place) =>
        [...decodeTraceHeader(header.get(traceHeaderName(place)))].map(([call, { traceId }]) => [
          call,
          traceId,
        ]),
      );
      expect(handedOn).toEqual([[[1, traceIdOf(1)]], [], [[3, traceIdOf(3)]]]);
      const sent = exporter.getFinishedSpans().filter(({ name }) => name.startsWith("send"));
      expect(sent.map((span) => span.spanContext().traceId)).toEqual([traceIdOf(1), traceIdOf(3)]);
    } finally {
      await provider.shutdown();
      trace.disable();
      context.disable();
    }
  });
});

describe("bounds", () => {
  test.each([
    ["records", { records: 300 }],
    ["bytes", { bytes: Buffer.alloc(100 * KIB, "abc") }],
  ])("a message is left as soon as it is full of %s", async (_, size) => {
    const publisher = await createPublisher({ maxDistanceMs: 10_000 });
    await Promise.all(Array.from({ length: 4 }, () => publisher.publish(batchOf("abc", size))));
    expect((await messages()).map((batches) => batches.length)).toEqual(
      "bytes" in size ? [2, 2] : [1, 1, 1, 1],
    );
  });

  test("a batch that is as large as a message goes alone", async () => {
    const publisher = await createPublisher({ maxBytes: 300 * KIB });
    const large = { bytes: Buffer.alloc(300 * KIB, "x") };
    await Promise.all([publisher.publish(batchOf("a")), publisher.publish(batchOf("x", large))]);
    expect(await messages()).toEqual([["a"], ["xxx"]]);
  });
});

describe("a stream that takes no more", () => {
  test("holds batches back until it takes them", async () => {
    const publisher = await createPublisher({}, 200 * KIB);
    await publisher.publish(batchOf("x", { bytes: Buffer.alloc(150 * KIB, "x") }));
    const large = { bytes: Buffer.alloc(100 * KIB, "y") };
    const waiting = ["y", "z"].map((text) => publisher.publish(batchOf(text, text === "y" ? large : {})));
    const settled = vi.fn();
    for (const each of waiting) void each.then(settled);
    await sleep(300);
    expect(settled).not.toHaveBeenCalled();
    await jsm.streams.purge(names.stream("enriched"));
    expect(await Promise.all(waiting)).toEqual([true, true]);
  });

  test("gives up all that waits where the process ends", async () => {
    const publisher = await createPublisher({ maxDistanceMs: 10_000 }, 200 * KIB);
    await publisher.publish(batchOf("x", { bytes: Buffer.alloc(150 * KIB, "x") }));
    const large = { bytes: Buffer.alloc(100 * KIB, "y") };
    const first = publisher.publish(batchOf("y", large));
    await sleep(100);
    const second = publisher.publish(batchOf("y", large));
    stopping.abort();
    expect(await Promise.all([first, second])).toEqual([false, false]);
  });
});
