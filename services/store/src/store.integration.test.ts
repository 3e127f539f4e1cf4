import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { bundleBatches } from "@chowhound/shared/batch/bundle";
import {
  CommitNoticeSchema,
  ConfirmRequestSchema,
  ConfirmResponseSchema,
} from "@chowhound/shared/contracts/chowhound/internal/v1/commit_notice";
import {
  type PipelinesState,
  PipelinesStateSchema,
  type RecordBatch,
} from "@chowhound/shared/contracts/chowhound/internal/v1/record_batch";
import { readConfig } from "@chowhound/shared/runtime/config";
import { ensureStream, natsNames } from "@chowhound/shared/stream/topology";
import { encodeSample, type SampleRecord, sampleBatch } from "@chowhound/shared/testing/sample-batches";
import { prepareService, type RunningService, startService } from "@chowhound/shared/testing/service-runtime";
import { freshDatabase, freshPrefix } from "@chowhound/shared/testing/test-servers";
import { type JetStreamClient, jetstream, jetstreamManager } from "@nats-io/jetstream";
import { connect, type NatsConnection } from "@nats-io/transport-node";
import { Client } from "pg";
import { afterEach, beforeEach, describe, expect, inject, it, vi } from "vitest";
import { settings } from "./config.ts";
import { createStore, type StoreConfig } from "./service.ts";

const WAIT = { timeout: 15_000, interval: 20 };
let database: Awaited<ReturnType<typeof freshDatabase>>;
let client: Client;
let nc: NatsConnection;
let js: JetStreamClient;
let prefix: string;
const running: RunningService[] = [];

beforeEach(async () => {
  database = await freshDatabase();
  client = new Client({ connectionString: database.url });
  // Dropping the database at the end ends this connection, too.
  client.on("error", () => {});
  await client.connect();
  nc = await connect({ servers: inject("natsUrl") });
  js = jetstream(nc);
  prefix = freshPrefix();
  await ensureStream(nc, natsNames(prefix), "unique", { maxBytes: 64 << 20, replicas: 1 });
});
afterEach(async () => {
  await Promise.all(running.splice(0).map((service) => service.drain()));
  await nc.close();
  await client.end();
  await database.drop();
});

function config(overrides: Record<string, string> = {}): StoreConfig {
  return readConfig(settings, {
    CHOWHOUND_NATS_URL: inject("natsUrl"),
    CHOWHOUND_NATS_PREFIX: prefix,
    CHOWHOUND_DATABASE_URL: database.url,
    CHOWHOUND_STREAM_MAX_BYTES: "64MiB",
    CHOWHOUND_ACK_WAIT: "2s",
    ...overrides,
  });
}

async function startStore(overrides: Record<string, string> = {}): Promise<RunningService> {
  const store = await startService("store", (runtime) => createStore(config(overrides), runtime));
  running.push(store);
  return store;
}

const publish = (batch: RecordBatch): Promise<unknown> =>
  js.publish(natsNames(prefix).subject("unique", 0), encodeSample(batch));
const count = async (what: string): Promise<number> =>
  Number((await client.query(`select count(*) as n from ${what}`)).rows[0].n);
const messagesLeft = async (): Promise<number> =>
  (await (await jetstreamManager(nc)).streams.info(natsNames(prefix).stream("unique"))).state.messages;

describe("store", () => {
  it("lands batches, acknowledges them and tells what it has committed", async () => {
    const notices: {
      batchId: string;
      fingerprints: number;
      generation: string;
      state: PipelinesState | undefined;
    }[] = [];
    const subscription = nc.subscribe(natsNames(prefix).commitNotices, {
      callback: (_, message) => {
        const { generation, batches } = fromBinary(CommitNoticeSchema, message.data);
        for (const { batchId, fingerprints, pipelinesState: state } of batches)
          notices.push({
            batchId: Buffer.from(batchId).toString("hex"),
            fingerprints: fingerprints.length / 16,
            generation,
            state,
          });
      },
    });
    const store = await startStore();
    const pipelinesState = create(PipelinesStateSchema, { epoch: 7n, revision: 3n });
    const batches = Array.from({ length: 20 }, () => ({
      ...sampleBatch({ records: [{}, {}, {}] }),
      pipelinesState,
    }));
    await Promise.all(batches.map(publish));
    await vi.waitFor(async () => expect(await messagesLeft()).toBe(0), WAIT);
    expect(await count("records")).toBe(60);
    expect(await count("invoices")).toBe(20);
    expect(store.meter.total("chowhound.records.verdicts", { "chowhound.verdict": "stored" })).toBe(60);
    await vi.waitFor(() => expect(notices).toHaveLength(20), WAIT);
    expect(notices.map(({ batchId }) => batchId).sort()).toEqual(
      batches.map(({ batchId }) => Buffer.from(batchId).toString("hex")).sort(),
    );
    expect(new Set(notices.map(({ fingerprints }) => fingerprints))).toEqual(new Set([3]));
    for (const { state } of notices) expect(state).toEqual(pipelinesState);
    subscription.unsubscribe();

    const confirm = async (batchIds: Uint8Array[], reportedBy: string, tellsEach = true) => {
      const each = { generations: [reportedBy], generationOf: batchIds.map(() => 0) };
      const question = create(ConfirmRequestSchema, {
        batchIds,
        generation: reportedBy,
        ...(tellsEach ? each : {}),
      });
      const request = toBinary(ConfirmRequestSchema, question);
      return fromBinary(ConfirmResponseSchema, (await nc.request(natsNames(prefix).confirm, request)).data);
    };
    const generation = notices[0]!.generation;
    const batchIds = batches.map(({ batchId }) => batchId);
    expect(await confirm(batchIds, generation)).toMatchObject({
      generation,
      allBooked: true,
      byGeneration: true,
    });
    expect(await confirm(batchIds, generation, false)).toMatchObject({ allBooked: true });
    expect(await confirm([batches[0]!.batchId, Buffer.alloc(16, 9)], generation)).toMatchObject({
      generation,
      allBooked: false,
    });

    // Another generation that has all its invoices from before, then one of them booked anew, then a third one.
    const become = () => client.query("update database_identity set id = gen_random_uuid()");
    await become();
    const next = await confirm(batchIds, generation);
    expect(next.generation).not.toBe(generation);
    expect(next.allBooked).toBe(true);
    await client.query("delete from invoices where batch_id = $1", [
      Buffer.from(batchIds[0]!).toString("hex"),
    ]);
    expect((await confirm(batchIds, generation)).allBooked).toBe(false);
    await publish(batches[0]!);
    await vi.waitFor(async () => expect(await count("invoices")).toBe(20), WAIT);
    expect((await confirm(batchIds, generation)).allBooked).toBe(false);
    expect((await confirm([batchIds[0]!], next.generation)).allBooked).toBe(true);
    await become();
    expect((await confirm(batchIds, generation)).allBooked).toBe(false);
    expect((await confirm(batchIds, generation, false)).allBooked).toBe(false);
    expect((await confirm(batchIds.slice(1), generation)).allBooked).toBe(true);
    // The invoices are there, and the rows are not.
    await client.query("truncate records");
    expect((await confirm(batchIds.slice(1), generation)).allBooked).toBe(false);
  });

  it("starts before its database is there, and says what it waits for", async () => {
    const url = new URL(database.url);
    await database.drop();
    const store = prepareService("store", (runtime) => createStore(config(), runtime));
    running.push(store);
    const started = store.service.start();
    await vi.waitFor(() => expect(store.status.waitingFor.join()).toContain("postgres: database"), WAIT);
    const admin = new Client({ connectionString: inject("postgresUrl") });
    await admin.connect();
    await admin.query(`create database ${url.pathname.slice(1)}`);
    await admin.end();
    await started;
    expect(store.status.waitingFor).toEqual([]);
  });

  it("holds what it can't write while the database is away, and lands it once when it is back", async () => {
    const store = await startStore();
    await publish(sampleBatch({ records: [{}] }));
    await vi.waitFor(async () => expect(await count("records")).toBe(1), WAIT);
    const admin = new Client({ connectionString: inject("postgresUrl") });
    await admin.connect();
    const name = new URL(database.url).pathname.slice(1);
    await admin.query(`alter database ${name} allow_connections false`);
    await admin.query("select pg_terminate_backend(pid) from pg_stat_activity where datname = $1", [name]);
    await vi.waitFor(() => expect(store.status.isServing).toBe(false), WAIT);
    await Promise.all(Array.from({ length: 10 }, () => publish(sampleBatch({ records: [{}, {}] }))));
    // Longer than ack_wait: held batches are reported in progress, or they would come twice.
    await new Promise((resolve) => setTimeout(resolve, 3_000));
    await admin.query(`alter database ${name} allow_connections true`);
    await admin.end();
    await vi.waitFor(async () => expect(await messagesLeft()).toBe(0), WAIT);
    client = new Client({ connectionString: database.url });
    client.on("error", () => {});
    await client.connect();
    expect(await count("records")).toBe(21);
    expect(await count("invoices")).toBe(11);
    await vi.waitFor(() => expect(store.status.isServing).toBe(true), WAIT);
  });

  it("writes a batch once that is delivered to two replicas", async () => {
    const [a, b] = await Promise.all([startStore(), startStore()]);
    const batch = sampleBatch({ records: Array.from({ length: 100 }, (): SampleRecord => ({})) });
    await Promise.all(Array.from({ length: 10 }, () => publish(batch)));
    await vi.waitFor(async () => expect(await messagesLeft()).toBe(0), WAIT);
    expect(await count("records")).toBe(100);
    expect(await count("invoices")).toBe(1);
    expect(
      a.meter.total("chowhound.records.verdicts", { "chowhound.verdict": "stored" }) +
        b.meter.total("chowhound.records.verdicts", { "chowhound.verdict": "stored" }),
    ).toBe(100);
    expect(
      a.meter.total("chowhound.batches.already_booked") + b.meter.total("chowhound.batches.already_booked"),
    ).toBe(9);
  });

  it("takes nothing while it is paused, and catches up", async () => {
    const store = await startStore();
    store.service.pause();
    // What was being fetched when the pause came is still taken.
    await new Promise((resolve) => setTimeout(resolve, 1_200));
    await Promise.all(Array.from({ length: 5 }, () => publish(sampleBatch({ records: [{}] }))));
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect(await count("records")).toBe(0);
    expect(await store.service.lag()).toMatchObject([{ pendingBatches: 5 }]);
    store.service.resume();
    await vi.waitFor(async () => expect(await count("records")).toBe(5), WAIT);
  });

  it("gives back what newer software wrote", async () => {
    const store = await startStore();
    const batch = sampleBatch({ records: [{}] });
    batch.envelopeVersion = 99;
    await publish(batch);
    await publish(sampleBatch({ records: [{}] }));
    await vi.waitFor(async () => expect(await count("records")).toBe(1), WAIT);
    await vi.waitFor(
      () =>
        expect(store.logged.map(({ message }) => message)).toContain("given back: written by newer software"),
      WAIT,
    );
    await vi.waitFor(async () => expect(await messagesLeft()).toBe(1), WAIT);
  });

  it("keeps what is no batch as a dead letter, and books it under no number of RAW", async () => {
    await startStore();
    await js.publish(natsNames(prefix).subject("unique", 0), "nonsense");
    await publish(sampleBatch({ records: [{}] }));
    await vi.waitFor(async () => expect(await messagesLeft()).toBe(0), WAIT);
    const { rows } = await client.query(
      "select stage, reason, original, raw_seq, epoch < 0 as foreign from dead_letters",
    );
    expect(rows).toEqual([
      {
        stage: "store",
        reason: "undecodable_batch",
        original: Buffer.from("nonsense"),
        raw_seq: "1",
        foreign: true,
      },
    ]);
    expect(await count("records")).toBe(1);
    expect(await count("invoices where accepted = dead_lettered + stored")).toBe(2);
  });

  it("books each batch of a message, also those that are no batches", async () => {
    await startStore();
    const batches = [sampleBatch({ records: [{}] }), sampleBatch({ records: [{}, {}] })];
    const parts = [...batches.map(encodeSample), Buffer.from("one"), Buffer.from("two")];
    await js.publish(natsNames(prefix).subject("unique", 0), bundleBatches(parts));
    await vi.waitFor(async () => expect(await messagesLeft()).toBe(0), WAIT);
    expect(await count("records")).toBe(3);
    const { rows } = await client.query("select convert_from(original, 'UTF8') as kept from dead_letters");
    expect(rows.map(({ kept }) => kept).toSorted()).toEqual(["one", "two"]);
    expect(await count("invoices where accepted = dead_lettered + stored")).toBe(4);
  });

  it("is not SERVING while the database takes no writes, and is again when it does", async () => {
    const store = await startStore();
    await publish(sampleBatch({ records: [{}] }));
    await vi.waitFor(async () => expect(await count("records")).toBe(1), WAIT);
    const admin = new Client({ connectionString: inject("postgresUrl") });
    await admin.connect();
    const name = new URL(database.url).pathname.slice(1);
    const readOnly = async (value: string): Promise<void> => {
      await admin.query(`alter database ${name} set default_transaction_read_only = ${value}`);
      await admin.query(
        "select pg_terminate_backend(pid) from pg_stat_activity where datname = $1 and application_name like 'chowhound-store%'",
        [name],
      );
    };
    await readOnly("on");
    await publish(sampleBatch({ records: [{}] }));
    await vi.waitFor(() => expect(store.status.waitingFor.join()).toContain("read-only"), WAIT);
    expect(store.status.isServing).toBe(false);
    await readOnly("off");
    await admin.end();
    await vi.waitFor(async () => expect(await count("records")).toBe(2), WAIT);
    await vi.waitFor(() => expect(store.status.isServing).toBe(true), WAIT);
  });

  it("lands the neighbours of a batch that fails again and again, and keeps trying that batch", async () => {
    await startStore();
    const broken = sampleBatch({ records: [{}] });
    await client.query(
      `create function refuse() returns trigger language plpgsql as $$ begin
         if new.data = 'broken' then raise exception 'out of order' using errcode = '55000'; end if; return new; end $$`,
    );
    await client.query(
      "create trigger refuse before insert on records for each row execute function refuse()",
    );
    const refused = sampleBatch({ records: [{ data: "broken", dataId: "b" }] });
    await Promise.all([
      publish(refused),
      ...Array.from({ length: 8 }, () => publish(sampleBatch({ records: [{}] }))),
      publish(broken),
    ]);
    await vi.waitFor(async () => expect(await count("records")).toBe(9), { ...WAIT, timeout: 40_000 });
    await vi.waitFor(async () => expect(await messagesLeft()).toBe(1), WAIT);
    expect(await count("dead_letters")).toBe(0);
    await client.query("drop trigger refuse on records");
    await vi.waitFor(async () => expect(await messagesLeft()).toBe(0), { ...WAIT, timeout: 40_000 });
    expect(await count("records where data = 'broken'")).toBe(1);
  });
});
