import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { unbundle } from "@chowhound/shared/batch/bundle";
import { decodeBatch } from "@chowhound/shared/batch/decode-batch";
import type { RecordBatch } from "@chowhound/shared/contracts/chowhound/internal/v1/record_batch";
import type { NoticeOutcome } from "@chowhound/shared/evidence/commit-notices";
import { readConfig } from "@chowhound/shared/runtime/config";
import { ensureStream, type NatsNames, natsNames, type StreamRole } from "@chowhound/shared/stream/topology";
import { encodeSample, type SampleRecord, sampleBatch } from "@chowhound/shared/testing/sample-batches";
import { type RunningService, startService } from "@chowhound/shared/testing/service-runtime";
import { freshPrefix } from "@chowhound/shared/testing/test-servers";
import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import { connect, type NatsConnection } from "@nats-io/transport-node";
import { afterEach, beforeEach, describe, expect, inject, it } from "vitest";
import { type DedupConfig, settings } from "./config.ts";
import { PlayedStore } from "./played-store-for-test.ts";
import { createDedup } from "./service.ts";

let nc: NatsConnection;
let prefix: string;
let names: NatsNames;
let dataDir: string;
let store: PlayedStore;
let started: RunningService[];

beforeEach(async () => {
  nc = await connect({ servers: new URL(inject("natsUrl")).host });
  prefix = freshPrefix();
  names = natsNames(prefix);
  dataDir = join(await mkdtemp(join(tmpdir(), "dedup-")), "data");
  store = new PlayedStore(nc, names);
  started = [];
});

afterEach(async () => {
  for (const dedup of started) await dedup.drain();
  const jsm = await jetstreamManager(nc);
  for (const role of ["enriched", "unique"] as const) await jsm.streams.delete(names.stream(role));
  await nc.close();
  await rm(join(dataDir, ".."), { recursive: true });
});

async function startDedup(changes: Partial<DedupConfig> = {}): Promise<RunningService> {
  const config = readConfig(settings, {
    CHOWHOUND_NATS_URL: inject("natsUrl"),
    CHOWHOUND_NATS_PREFIX: prefix,
    CHOWHOUND_STREAM_MAX_BYTES: "64MiB",
    CHOWHOUND_DEDUP_DATA_DIR: dataDir,
    CHOWHOUND_DEDUP_INDEX_KEYS: "10000",
  });
  const dedup = await startService("dedup", (runtime) => createDedup({ ...config, ...changes }, runtime));
  started.push(dedup);
  return dedup;
}

async function publish(...messages: Uint8Array[]): Promise<void> {
  const js = jetstream(nc);
  for (const bytes of messages) await js.publish(names.subject("enriched", 0), bytes);
}

async function messagesIn(role: StreamRole): Promise<number> {
  const jsm = await jetstreamManager(nc);
  return (await jsm.streams.info(names.stream(role))).state.messages;
}

/** A message may hold several. */
async function batchesIn(role: StreamRole): Promise<number> {
  const jsm = await jetstreamManager(nc);
  const { first_seq, last_seq } = (await jsm.streams.info(names.stream(role))).state;
  let count = 0;
  for (let seq = first_seq; seq <= last_seq; seq++) {
    const message = await jsm.streams.getMessage(names.stream(role), { seq });
    if (message !== null) count += unbundle(message.data).length;
  }
  return count;
}

/** Per consumer of ENRICHED, the messages it holds. */
async function unacknowledged(): Promise<number[]> {
  const jsm = await jetstreamManager(nc);
  const consumers = await jsm.consumers.list(names.stream("enriched")).next();
  return consumers.map(({ num_ack_pending }) => num_ack_pending);
}

/** Waits until the stage has acknowledged all it was given. */
async function untilDone(): Promise<void> {
  await expect.poll(() => messagesIn("enriched"), { timeout: 10_000 }).toBe(0);
}

/** A load as producers send it again: the same records, every time in a batch of its own. */
const load: SampleRecord[] = [
  ["acme", "forum", "a", "1"],
  ["acme", "forum", "a", "2"],
  ["acme", "mail", "a", "1"],
  ["umbrella", "forum", "a", "1"],
].map(([tenantId, sourceType, sourceId, dataId]) => ({
  tenantId: tenantId!,
  sourceType: sourceType!,
  sourceId: sourceId!,
  dataId: dataId!,
  updatedAtUs: 1_700_000_000_000_000,
}));

/** The load has passed and is booked; with `notify`, dedup has heard of it. */
async function commitLoad(dedup: RunningService, { notify } = { notify: true }): Promise<RecordBatch> {
  await publish(encodeSample(sampleBatch({ records: load })));
  const batch = await store.takeBatch();
  store.book(batch);
  if (notify) await tell(dedup, batch);
  return batch;
}

async function tell(
  dedup: RunningService,
  batch: RecordBatch,
  outcome: NoticeOutcome = "absorbed",
): Promise<void> {
  const before = dedup.meter.total("chowhound.dedup.notices", { "chowhound.outcome": outcome });
  await store.notify(batch);
  await expect
    .poll(() => dedup.meter.total("chowhound.dedup.notices", { "chowhound.outcome": outcome }))
    .toBe(before + 1);
}

/** Sends the load again; returns what of it comes out. */
async function resend(): Promise<RecordBatch> {
  await publish(encodeSample(sampleBatch({ records: load })));
  return await store.takeBatch();
}

describe("dedup", () => {
  it("passes a fresh load on byte by byte and asks nobody", async () => {
    const dedup = await startDedup();
    const sent = [load, [{}, {}, {}], [{ dead: { reason: "step_error" } }]].map((records) =>
      encodeSample(sampleBatch({ records })),
    );
    await publish(...sent);
    const came = await store.take(sent.length);
    expect(new Set(came.map(hexOf))).toEqual(new Set(sent.map(hexOf)));
    await untilDone();
    expect(store.questions).toBe(0);
    expect(dedup.meter.total("chowhound.dedup.passed")).toBe(8);
    expect(dedup.meter.records).toBe(8);
    expect(dedup.status.isServing).toBe(true);
  });

  it("drops what the store has reported committed, counted by source", async () => {
    const dedup = await startDedup();
    await commitLoad(dedup);
    await publish(encodeSample(sampleBatch({ records: [{ dataId: "new" }, ...load, { dataId: "newer" }] })));
    const rest = await store.takeBatch();
    expect(rest).toMatchObject({ acceptedCount: 6, ordinals: [0, 5] });
    expect(rest.originals).toHaveLength(2);
    expect(countsOf(rest)).toEqual({ "acme/forum/a": 2, "acme/mail/a": 1, "umbrella/forum/a": 1 });
    await untilDone();
    expect([
      dedup.meter.total("chowhound.dedup.dropped"),
      dedup.meter.total("chowhound.dedup.passed"),
    ]).toEqual([4, 6]);
    expect(dedup.meter.total("chowhound.dedup.confirmations", { "chowhound.outcome": "confirmed" })).toBe(1);
    await expect.poll(() => dedup.meter.total("chowhound.dedup.index.size")).toBe(4);
  });

  it("sends a batch on of which nothing is left", async () => {
    const dedup = await startDedup();
    await commitLoad(dedup);
    expect(await resend()).toMatchObject({ originals: [], acceptedCount: 4 });
  });

  it("passes equal records of one batch, and those labelled dead", async () => {
    const dedup = await startDedup();
    await commitLoad(dedup);
    const dead = { ...load[0]!, dead: { reason: "step_error" } };
    await publish(encodeSample(sampleBatch({ records: [dead, { dataId: "twin" }, { dataId: "twin" }] })));
    expect((await store.takeBatch()).originals).toHaveLength(3);
    expect(dedup.meter.total("chowhound.dedup.dropped")).toBe(0);
  });

  it.each<[string, () => unknown]>([
    ["it is not there", () => store.leave()],
    ["it does not answer", () => (store.answersAfterMs = undefined)],
    ["it answers too late", () => (store.answersAfterMs = 400)],
  ])("passes when the store does not confirm: %s", async (_, fail) => {
    const dedup = await startDedup({ confirmTimeoutMs: 200 });
    await commitLoad(dedup);
    await fail();
    expect((await resend()).originals).toHaveLength(4);
    expect(dedup.meter.total("chowhound.dedup.confirmations", { "chowhound.outcome": "no-answer" })).toBe(1);
    await store.leave();
    store.answersAfterMs = 0;
    store.listen();
    expect((await resend()).originals).toHaveLength(0);
  });

  it("forgets when the database has changed and lacks a batch", async () => {
    const dedup = await startDedup();
    const batch = await commitLoad(dedup);
    store.generation = "g2";
    store.booked.clear();
    expect((await resend()).originals).toHaveLength(4);
    expect(dedup.meter.total("chowhound.dedup.confirmations", { "chowhound.outcome": "void" })).toBe(1);
    await expect.poll(() => dedup.meter.total("chowhound.dedup.index.size")).toBe(0);

    store.book(batch);
    await tell(dedup, batch);
    expect((await resend()).originals).toHaveLength(0);
  });

  it("goes on dropping when the database has changed and has every batch", async () => {
    const dedup = await startDedup();
    await commitLoad(dedup);
    store.generation = "g2";
    expect((await resend()).originals).toHaveLength(0);
    expect(dedup.meter.total("chowhound.dedup.confirmations", { "chowhound.outcome": "rebound" })).toBe(1);
    expect((await resend()).originals).toHaveLength(0);
    expect(dedup.meter.total("chowhound.dedup.confirmations", { "chowhound.outcome": "confirmed" })).toBe(1);
  });

  it("asks the store when a notice comes of another database", async () => {
    const dedup = await startDedup();
    const batch = await commitLoad(dedup);
    store.generation = "g2";
    await tell(dedup, batch, "revalidate");
    await expect
      .poll(() => dedup.meter.total("chowhound.dedup.confirmations", { "chowhound.outcome": "rebound" }))
      .toBe(1);
  });

  it("passes what it was told nothing of", async () => {
    const dedup = await startDedup();
    await commitLoad(dedup, { notify: false });
    expect((await resend()).originals).toHaveLength(4);
    expect(store.questions).toBe(0);
  });

  it("remembers over a restart", async () => {
    const first = await startDedup();
    await commitLoad(first);
    await first.drain();
    expect(await readdir(dataDir)).toEqual([`${prefix}.fingerprints`]);

    const second = await startDedup();
    expect((await resend()).originals).toHaveLength(0);
    expect(second.meter.total("chowhound.dedup.dropped")).toBe(4);
    await second.drain();

    await startDedup({ dataDir: "none" });
    expect((await resend()).originals).toHaveLength(4);
  });

  it("saves on the interval, so that a killed process remembers too", async () => {
    const killed = await startDedup({ snapshotIntervalMs: 100 });
    await commitLoad(killed);
    await expect.poll(() => readdir(dataDir)).toEqual([`${prefix}.fingerprints`]);
    killed.service.pause();
    // The paused one has a fetch under way for a moment.
    await sleep(1_200);

    await startDedup();
    expect((await resend()).originals).toHaveLength(0);
  });

  it("lets replicas share a directory", async () => {
    const replicas = [
      await startDedup({ snapshotIntervalMs: 100 }),
      await startDedup({ snapshotIntervalMs: 100 }),
    ];
    await commitLoad(replicas[0]!);
    await expect
      .poll(() => replicas[1]!.meter.total("chowhound.dedup.notices", { "chowhound.outcome": "absorbed" }))
      .toBe(1);
    await Promise.all(replicas.map((replica) => replica.drain()));
    expect(replicas.flatMap(({ logged }) => logged.filter(({ level }) => level === "warn"))).toEqual([]);
    expect(await readdir(dataDir)).toEqual([`${prefix}.fingerprints`]);

    await startDedup();
    expect((await resend()).originals).toHaveLength(0);
  });

  it("works without a place for its snapshot", async () => {
    await writeFile(dataDir, "a file where the directory should be");
    const dedup = await startDedup();
    await commitLoad(dedup);
    expect((await resend()).originals).toHaveLength(0);
    await dedup.drain();
    expect(dedup.logged.filter(({ level }) => level === "warn").map(({ message }) => message)).toEqual([
      "no directory for the snapshot of the index",
      "going on without saving the index",
    ]);
  });

  it("passes on what is no batch, and gives a batch of newer software back", async () => {
    const dedup = await startDedup();
    const newer = encodeSample({ ...sampleBatch({ records: load }), envelopeVersion: 99 });
    const garbage = Buffer.from("no batch");
    await publish(newer, garbage);
    expect(hexOf((await store.take(1))[0]!)).toBe(hexOf(garbage));
    await expect.poll(() => messagesIn("enriched")).toBe(1);
    expect(await messagesIn("unique")).toBe(0);
    await expect
      .poll(() => dedup.logged.filter(({ envelopeVersion }) => envelopeVersion === 99).length, {
        timeout: 10_000,
      })
      .toBeGreaterThanOrEqual(2);
  });

  it("drains in the middle of a load with nothing left in flight, nothing lost and nothing twice", async () => {
    const dedup = await startDedup();
    await commitLoad(dedup);
    store.answersAfterMs = 20;
    const batches = Array.from({ length: 600 }, (_, i) => sampleBatch({ records: [{}, load[i % 4]!] }));
    const publishing = publish(...batches.map(encodeSample));
    await expect.poll(() => messagesIn("unique"), { interval: 5 }).toBeGreaterThan(3);
    await dedup.drain();
    await publishing;

    expect(await unacknowledged()).toEqual([0]);
    const passed = await batchesIn("unique");
    expect(passed).toBeLessThan(batches.length);
    expect((await batchesIn("enriched")) + passed).toBe(batches.length);

    await startDedup();
    expect(idsOf(await store.take(batches.length))).toEqual(idsOf(batches.map(encodeSample)));
    expect(await messagesIn("unique")).toBe(0);
  });

  describe("while UNIQUE is full", () => {
    const batches = Array.from({ length: 40 }, () =>
      sampleBatch({ records: [{ data: "x".repeat(60_000) }] }),
    );

    /** Starts on a load that UNIQUE has not enough room for, and waits until it is full. */
    async function startOnTooMuch(changes: Partial<DedupConfig> = {}): Promise<RunningService> {
      // A stream is never made smaller than what it holds: only UNIQUE will be small.
      await ensureStream(nc, names, "enriched", { maxBytes: 64 * 1024 ** 2, replicas: 1 });
      await publish(...batches.map(encodeSample));
      const dedup = await startDedup({ streamMaxBytes: 750_000, ...changes });
      const isFull = () => dedup.logged.some(({ why }) => why === "the stream is full");
      await expect.poll(isFull).toBe(true);
      return dedup;
    }

    it("holds batches longer than ack_wait and passes each on once when there is room", async () => {
      await startOnTooMuch({ ackWaitMs: 1_000 });
      await sleep(3_000);
      const fitting = await batchesIn("unique");
      expect(fitting).toBeLessThan(15);
      expect(await batchesIn("enriched")).toBe(batches.length - fitting);

      expect(idsOf(await store.take(batches.length))).toEqual(idsOf(batches.map(encodeSample)));
      await untilDone();
      expect(await messagesIn("unique")).toBe(0);
    });

    it("gives back what it holds when it drains", async () => {
      const dedup = await startOnTooMuch({ ackWaitMs: 60_000 });
      await dedup.drain();
      // Far sooner than ack_wait would give it back.
      await startDedup({ ackWaitMs: 60_000 });
      expect(idsOf(await store.take(batches.length))).toEqual(idsOf(batches.map(encodeSample)));
    });
  });
});

function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}

function idsOf(messages: readonly Uint8Array[]): string[] {
  return messages
    .map((bytes) => {
      const decoded = decodeBatch(bytes);
      return decoded.kind === "batch" ? hexOf(decoded.batch.batchId) : decoded.kind;
    })
    .sort();
}

function countsOf({ dropped }: RecordBatch): Record<string, number> {
  return Object.fromEntries(
    dropped.map((drop) => [`${drop.tenantId}/${drop.sourceType}/${drop.sourceId}`, drop.count]),
  );
}
