import { setTimeout as sleep } from "node:timers/promises";
import { create, toBinary } from "@bufbuild/protobuf";
import { decodeBatch } from "@chowhound/shared/batch/decode-batch";
import type { RecordBatch } from "@chowhound/shared/contracts/chowhound/internal/v1/record_batch";
import { IngestionDataSchema } from "@chowhound/shared/contracts/chowhound/v1/ingestion_data";
import { formatUuid, UUID_BYTES } from "@chowhound/shared/record/uuid";
import type { AcceptedRecord } from "@chowhound/shared/record/validate-record";
import { MAX_TRACED_CALLS } from "@chowhound/shared/telemetry/trace-header";
import { describe, expect, it } from "vitest";
import { Batcher, type BatcherOptions, type CallOrigin } from "./batcher.ts";
import { KnownRecord } from "./known-record.ts";

const origin = (tenantId: string): CallOrigin => ({
  tenantId,
  receiptId: Buffer.alloc(16, 7),
  traceparent: `of ${tenantId}`,
  tracestate: "",
});

function recordOf(text: string, size = text.length): AcceptedRecord {
  return {
    kind: "accepted",
    bytes: Buffer.from(text.padEnd(size)),
    uuid: Buffer.alloc(16, text),
    contentHash: Buffer.alloc(16, `#${text}`),
    versionUs: 1_000 + text.length,
    sourceType: Buffer.from("t"),
    sourceId: Buffer.from(text),
  };
}

/** A batcher whose publishes wait until they are let go. */
function setUp(options: Partial<BatcherOptions> = {}) {
  const sent: {
    partition: number;
    batch: RecordBatch;
    fingerprints: Buffer | undefined;
    ack(): void;
    fail(error: Error): void;
  }[] = [];
  const batcher = new Batcher({
    maxRecords: 4,
    maxBytes: () => 10_000,
    lingerMs: 0,
    partitionOf: () => 0,
    publish: ({ partition, message, fingerprints }) => {
      const decoded = decodeBatch(message);
      if (decoded.kind !== "batch") throw new Error(`not a batch: ${decoded.kind}`);
      return new Promise((ack, fail) =>
        sent.push({ partition, batch: decoded.batch, fingerprints, ack, fail }),
      );
    },
    ...options,
  });
  const texts = () =>
    sent.map(({ batch }) => batch.originals.map((bytes) => Buffer.from(bytes).toString().trim()));
  return { batcher, sent, texts };
}

const turn = () => new Promise(setImmediate);
const turns = async (count: number) => {
  for (let i = 0; i < count; i++) await turn();
};
const isSettled = async (promise: Promise<unknown>) =>
  (await Promise.race([promise.then(() => true), turn().then(() => false)])) as boolean;

const knownOf = (letter: string, sourceId = "s"): KnownRecord => {
  const uuid = formatUuid(Buffer.alloc(UUID_BYTES, letter));
  const record = create(IngestionDataSchema, { uuid, sourceType: "t", sourceId });
  return new KnownRecord(toBinary(IngestionDataSchema, record));
};

describe("Batcher, of what is known", () => {
  it("sends no more than whose it is, and counts it by source", async () => {
    const { batcher, sent, texts } = setUp();
    void batcher.submit(origin("acme"), [knownOf("k"), recordOf("a"), knownOf("l")]);
    void batcher.submit(origin("umbrella"), [knownOf("m")]);
    await turns(3);
    expect(texts()).toEqual([["a"]]);
    const { batch } = sent[0]!;
    expect(batch).toMatchObject({ acceptedCount: 4, ordinals: [1], callOf: [0] });
    expect(batch.dropped).toMatchObject([
      { tenantId: "acme", sourceType: "t", sourceId: "s", count: 2 },
      { tenantId: "umbrella", sourceType: "t", sourceId: "s", count: 1 },
    ]);
    expect(batch).toMatchObject({ droppedCallOf: [0, 0, 1], droppedSourceOf: [0, 0, 1] });
    expect(Buffer.from(batch.droppedUuids).toString("latin1")).toBe(
      "k".repeat(16) + "l".repeat(16) + "m".repeat(16),
    );
  });

  it("puts eight times as many of them into a batch, and never more than a batch is meant to hold", async () => {
    const { batcher, sent } = setUp({ maxRecords: 3, maxBytes: () => 10_000_000 });
    void batcher.submit(
      origin("acme"),
      Array.from({ length: 20 }, () => knownOf("k")),
    );
    void batcher.submit(origin("acme"), [recordOf("a"), recordOf("b")]);
    await turns(3);
    // Twenty take the room of two and a half.
    expect(sent.map(({ batch }) => [batch.acceptedCount, batch.originals.length])).toEqual([[21, 1]]);
    sent[0]!.ack();
    await turns(3);
    expect(sent[1]!.batch.acceptedCount).toBe(1);

    const large = setUp({ maxRecords: 5_000, maxBytes: () => 10_000_000 });
    void large.batcher.submit(
      origin("acme"),
      Array.from({ length: 5_001 }, () => knownOf("k")),
    );
    await turns(3);
    expect(large.sent[0]!.batch.acceptedCount).toBe(5_000);
  });

  it("sends no message beyond its bytes, though each of them is of another source", async () => {
    const messages: number[] = [];
    const maxBytes = 4_000;
    const { batcher } = setUp({
      maxRecords: 500,
      maxBytes: () => maxBytes,
      publish: async ({ message }) => void messages.push(message.length),
    });
    const records = Array.from({ length: 40 }, (_, i) => knownOf("k", `${i}`.padEnd(500, "x")));
    await batcher.submit(origin("acme"), records);
    expect(messages.length).toBeGreaterThan(4);
    expect(Math.max(...messages)).toBeLessThanOrEqual(maxBytes);
  });

  it("tells the fingerprints of a batch in the order of its records, unless none of them is new", async () => {
    const { batcher, sent } = setUp({ partitionOf: (_tenant, { sourceId }) => sourceId[0]! % 2 });
    const fingerprints = Buffer.concat([..."pqrs"].map((letter) => Buffer.alloc(16, letter)));
    const told = (): (string | undefined)[] =>
      sent.map(({ fingerprints: of }) => of?.toString("latin1").replaceAll(/(.)\1{15}/g, "$1"));
    const records = [recordOf("a"), recordOf("b"), knownOf("k"), recordOf("c")];
    void batcher.submit(origin("acme"), records, fingerprints);
    await turns(3);
    expect(told()).toEqual(["prs", "q"]);
    sent[0]!.ack();
    void batcher.submit(origin("acme"), [knownOf("k")], fingerprints.subarray(0, 16));
    await turns(5);
    expect(told().slice(2)).toEqual([undefined]);
  });
});

describe("Batcher", () => {
  it("fails the calls of a batch that can't even be put together, and goes on", async () => {
    const { batcher, sent, texts } = setUp({
      publish: () => {
        throw new Error("no memory");
      },
    });
    await expect(batcher.submit(origin("acme"), [recordOf("a")])).rejects.toThrow("no memory");
    await expect(
      batcher.submit(
        origin("acme"),
        "bcdef".split("").map((text) => recordOf(text)),
      ),
    ).rejects.toThrow("no memory");
    await batcher.drain();
    expect([sent, texts()]).toEqual([[], []]);
  });

  it("merges the calls of one turn and says which record is whose", async () => {
    const { batcher, sent, texts } = setUp();
    const one = batcher.submit(origin("acme"), [recordOf("a"), recordOf("b")]);
    const two = batcher.submit(origin("umbrella"), [recordOf("ccc")]);
    await turns(3);
    expect(texts()).toEqual([["a", "b", "ccc"]]);
    const { batch, ack } = sent[0]!;
    expect(batch.calls.map((call) => [call.tenantId, call.traceparent])).toEqual([
      ["acme", "of acme"],
      ["umbrella", "of umbrella"],
    ]);
    expect(batch.callOf).toEqual([0, 0, 1]);
    expect(batch.acceptedCount).toBe(3);
    expect(batch.versionsUs).toEqual([1_001n, 1_001n, 1_003n]);
    expect(Buffer.from(batch.uuids).subarray(32)).toEqual(Buffer.alloc(16, "ccc"));
    expect(Buffer.from(batch.contentHashes).subarray(0, 16)).toEqual(Buffer.alloc(16, "#a"));
    expect(await isSettled(one)).toBe(false);
    ack();
    expect(await one).toBe(Number(batch.acceptedAtUs));
    expect(await two).toBe(Number(batch.acceptedAtUs));
  });

  it("sends full batches at once and gives each an id of its own", async () => {
    const { batcher, sent, texts } = setUp({ maxRecords: 2 });
    const done = batcher.submit(
      origin("acme"),
      [..."abcde"].map((text) => recordOf(text)),
    );
    expect(texts()).toEqual([
      ["a", "b"],
      ["c", "d"],
    ]);
    expect(sent[0]!.batch.batchId).not.toEqual(sent[1]!.batch.batchId);
    sent[0]!.ack();
    sent[1]!.ack();
    await turns(3);
    expect(texts()[2]).toEqual(["e"]);
    expect(await isSettled(done)).toBe(false);
    sent[2]!.ack();
    expect(await isSettled(done)).toBe(true);
  });

  it("collects while a batch is on its way, and sends when that has arrived", async () => {
    const { batcher, sent, texts } = setUp();
    void batcher.submit(origin("acme"), [recordOf("a")]);
    await turns(3);
    void batcher.submit(origin("acme"), [recordOf("b")]);
    await turns(3);
    void batcher.submit(origin("umbrella"), [recordOf("c")]);
    await turns(3);
    expect(texts()).toEqual([["a"]]);
    sent[0]!.ack();
    await turns(3);
    expect(texts()).toEqual([["a"], ["b", "c"]]);
  });

  it("sends a second batch only when it is full, however long the first is on its way", async () => {
    const { batcher, sent, texts } = setUp();
    const submit = (text: string) => void batcher.submit(origin("acme"), [recordOf(text)]);
    submit("a");
    await turns(3);
    for (const text of "bcd") submit(text);
    await sleep(30);
    expect(texts()).toEqual([["a"]]);
    for (const text of "ef") submit(text);
    expect(texts()).toEqual([["a"], ["b", "c", "d", "e"]]);
    sent[0]!.ack();
    await sleep(30);
    expect(texts()).toHaveLength(2);
    sent[1]!.ack();
    await turns(3);
    expect(texts()[2]).toEqual(["f"]);
  });

  it("waits for the linger since the batch before, and for nobody after a quiet time", async () => {
    const { batcher, sent, texts } = setUp({ lingerMs: 100 });
    const submit = (text: string) => void batcher.submit(origin("acme"), [recordOf(text)]);
    for (const text of "abc") submit(text);
    await turns(3);
    sent[0]!.ack();
    await turns(3);
    submit("d");
    await sleep(20);
    submit("e");
    await turns(3);
    expect(texts()).toEqual([["a", "b", "c"]]);
    await sleep(200);
    expect(texts().slice(1)).toEqual([["d", "e"]]);
    sent[1]!.ack();
    await sleep(200);
    submit("f");
    await turns(3);
    expect(texts()[2]).toEqual(["f"]);
  });

  it("waits no longer where the acknowledgement took as long as the linger", async () => {
    const { batcher, sent, texts } = setUp({ lingerMs: 400 });
    const submit = (text: string) => void batcher.submit(origin("acme"), [recordOf(text)]);
    for (const text of "abc") submit(text);
    await turns(3);
    submit("d");
    await sleep(410);
    const ackedMs = performance.now();
    sent[0]!.ack();
    while (sent.length < 2) await turn();
    expect(performance.now() - ackedMs).toBeLessThan(200);
    expect(texts()[1]).toEqual(["d"]);
  });

  it("waits for nobody where as many wait as there have been at once", async () => {
    const { batcher, sent, texts } = setUp({ lingerMs: 10_000 });
    const submit = (text: string) => void batcher.submit(origin("acme"), [recordOf(text)]);
    for (const text of "abc") submit(text);
    await turns(3);
    for (const round of [1, 2, 3]) {
      sent.at(-1)!.ack();
      await turns(3);
      for (const text of "ab") submit(text);
      await turns(3);
      expect(texts()).toHaveLength(round);
      submit("c");
      await turns(3);
      expect(texts()[round]).toEqual(["a", "b", "c"]);
    }
  });

  it("holds up no caller who is alone, not even one with more than fits a batch", async () => {
    const { batcher, sent, texts } = setUp({ lingerMs: 10_000 });
    for (let round = 0; round < 3; round++) {
      const answered = batcher.submit(
        origin("acme"),
        [..."abcdef"].map((text) => recordOf(text)),
      );
      await turns(3);
      sent.at(-1)!.ack();
      await turns(3);
      sent.at(-1)!.ack();
      await answered;
    }
    expect(texts().map((batch) => batch.length)).toEqual([4, 2, 4, 2, 4, 2]);
  });

  it("forgets in time how many there were at once", async () => {
    const { batcher, sent, texts } = setUp({ lingerMs: 20 });
    const submit = (text: string) => void batcher.submit(origin("acme"), [recordOf(text)]);
    for (const text of "abc") submit(text);
    await turns(3);
    sent[0]!.ack();
    for (let i = 0; i < 15; i++) {
      await sleep(25);
      submit("d");
      await turns(3);
      sent.at(-1)!.ack();
      await turns(3);
    }
    const before = texts().length;
    submit("e");
    await turns(3);
    expect(texts()).toHaveLength(before + 1);
  });

  it("goes on taking while every turn brings more, but no longer than the linger", async () => {
    const { batcher, texts } = setUp({ lingerMs: 50, maxRecords: 1_000_000, maxBytes: () => 1e9 });
    const submit = (text: string) => void batcher.submit(origin("acme"), [recordOf(text)]);
    submit("a");
    for (const text of "bc") {
      submit(text);
      await turn();
    }
    expect(texts()).toEqual([]);
    await turn();
    expect(texts()).toEqual([["a", "b", "c"]]);

    const busy = setUp({ lingerMs: 50, maxRecords: 1_000_000, maxBytes: () => 1e9 });
    const startedMs = performance.now();
    void busy.batcher.submit(origin("acme"), [recordOf("x")]);
    while (busy.sent.length === 0) {
      void busy.batcher.submit(origin("acme"), [recordOf("x")]);
      await turn();
    }
    expect(performance.now() - startedMs).toBeGreaterThanOrEqual(50);
  });

  it("stays below the greatest size, and sends a larger record alone", async () => {
    const { batcher, sent, texts } = setUp({ maxRecords: 100, maxBytes: () => 2_000 });
    const records = [
      recordOf("a", 700),
      recordOf("b", 700),
      recordOf("c", 700),
      recordOf("d", 5_000),
      recordOf("e"),
    ];
    void batcher.submit(origin("acme"), records);
    await turns(3);
    for (const { ack } of sent) ack();
    await turns(3);
    expect(texts()).toEqual([["a", "b"], ["c"], ["d"], ["e"]]);
    expect(sent.every(({ batch }) => batch.calls.length === 1)).toBe(true);
  });

  it("sends a batch that holds as many sampled calls as can be followed", async () => {
    const sampled: number[] = [];
    const publish: BatcherOptions["publish"] = async (batch) => {
      sampled.push(batch.sampled.size);
    };
    const { batcher } = setUp({ maxRecords: 5_000, maxBytes: () => 10_000_000, publish });
    const span = { traceId: "4bf92f3577b34da6a3ce929d0e0e4736", spanId: "00f067aa0ba902b7", traceFlags: 1 };
    const calls = Array.from({ length: 2 * MAX_TRACED_CALLS + 2 }, (_, i) =>
      batcher.submit({ ...origin("acme"), ...(i % 2 === 0 && { span }) }, [recordOf("a")]),
    );
    await Promise.all(calls);
    expect(sampled).toEqual([MAX_TRACED_CALLS, 1]);
  });

  it("keeps partitions apart", async () => {
    const { batcher, sent, texts } = setUp({ partitionOf: (_tenant, { sourceId }) => sourceId[0]! % 2 });
    const done = batcher.submit(
      origin("acme"),
      [..."abcd"].map((text) => recordOf(text)),
    );
    await turns(3);
    expect(texts()).toEqual([
      ["a", "c"],
      ["b", "d"],
    ]);
    expect(sent.map(({ partition, batch }) => [partition, batch.partition])).toEqual([
      [1, 1],
      [0, 0],
    ]);
    for (const { ack } of sent) ack();
    await done;
  });

  it("fails every call of a failed batch, no other one, and only when all its batches are settled", async () => {
    const { batcher, sent } = setUp({ maxRecords: 2 });
    const one = batcher.submit(origin("acme"), [recordOf("a")]);
    const two = batcher.submit(origin("acme"), [recordOf("b"), recordOf("c")]);
    const three = batcher.submit(origin("acme"), [recordOf("d"), recordOf("e"), recordOf("f")]);
    await turns(3);
    const failed = Promise.allSettled([one, two]);
    sent[0]!.fail(new Error("the first batch"));
    await turns(3);
    expect(await isSettled(failed)).toBe(false);
    sent[1]!.ack();
    expect((await failed).map((result) => result.status)).toEqual(["rejected", "rejected"]);
    sent[2]!.ack();
    await turns(3);
    for (const { ack } of sent) ack();
    await expect(three).resolves.toBeGreaterThan(0);
  });

  it("drains what is open and what is on its way", async () => {
    const { batcher, sent, texts } = setUp();
    void batcher.submit(origin("acme"), [recordOf("a")]);
    await turns(3);
    void batcher.submit(origin("acme"), [recordOf("b")]);
    const drained = batcher.drain();
    expect(texts()).toEqual([["a"], ["b"]]);
    sent[0]!.ack();
    expect(await isSettled(drained)).toBe(false);
    sent[1]!.ack();
    expect(await isSettled(drained)).toBe(true);
  });
});
