import { create, toBinary } from "@bufbuild/protobuf";
import { unbundle } from "@chowhound/shared/batch/bundle";
import { decodeBatch, NEWEST_ENVELOPE_VERSION } from "@chowhound/shared/batch/decode-batch";
import {
  type RecordBatch,
  RecordBatchSchema,
} from "@chowhound/shared/contracts/chowhound/internal/v1/record_batch";
import { PipelineSchema, PipelineService } from "@chowhound/shared/contracts/chowhound/v1/pipeline_service";
import { BadRequestSchema } from "@chowhound/shared/contracts/google/rpc/error_details";
import { type AdminServer, startAdminServer } from "@chowhound/shared/rpc/admin-server";
import { readConfig } from "@chowhound/shared/runtime/config";
import { ServiceState } from "@chowhound/shared/runtime/service-status";
import {
  ensureStream,
  maxRawMessageBytes,
  type NatsNames,
  natsNames,
  type StreamRole,
} from "@chowhound/shared/stream/topology";
import { encodeSample, type SampleRecord, sampleRawBatch } from "@chowhound/shared/testing/sample-batches";
import { prepareService, type RunningService } from "@chowhound/shared/testing/service-runtime";
import { freshPrefix } from "@chowhound/shared/testing/test-servers";
import { type Client, Code, ConnectError, createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import {
  AckPolicy,
  type JetStreamManager,
  jetstream,
  jetstreamManager,
  RetentionPolicy,
} from "@nats-io/jetstream";
import { Kvm } from "@nats-io/kv";
import { connect, type NatsConnection } from "@nats-io/transport-node";
import { afterEach, beforeEach, describe, expect, inject, test, vi } from "vitest";
import { type EnricherConfig, settings } from "./config.ts";
import { definitionOf } from "./pipeline-for-test.ts";
import { createEnricher } from "./service.ts";
import { pipelineKey } from "./stored-pipeline.ts";

const WAIT = { timeout: 20_000, interval: 20 };

interface Enricher extends RunningService {
  /** Resolves when it has started. */
  started: Promise<void>;
  pipelines: Client<typeof PipelineService>;
}

let nc: NatsConnection;
let jsm: JetStreamManager;
let names: NatsNames;
let prefix: string;
let enrichers: Enricher[];
let adminServers: AdminServer[];

beforeEach(async () => {
  nc = await connect({ servers: new URL(inject("natsUrl")).host });
  jsm = await jetstreamManager(nc);
  prefix = freshPrefix();
  names = natsNames(prefix);
  enrichers = [];
  adminServers = [];
  await ensureStream(nc, names, "raw", { maxBytes: 64 * 1024 ** 2, replicas: 1 });
});

afterEach(async () => {
  await Promise.all(enrichers.map((enricher) => enricher.drain()));
  await Promise.all(adminServers.map((server) => server.close()));
  for await (const { config } of jsm.streams.list()) {
    if (config.name.includes(prefix)) await jsm.streams.delete(config.name);
  }
  await nc.close();
});

/** An enricher with its admin port, starting. */
async function openEnricher(changes: Partial<EnricherConfig> = {}): Promise<Enricher> {
  const config = readConfig(settings, {
    CHOWHOUND_NATS_URL: inject("natsUrl"),
    CHOWHOUND_NATS_PREFIX: prefix,
    CHOWHOUND_STREAM_MAX_BYTES: "64MiB",
  });
  const running = prepareService("enricher", (runtime) => createEnricher({ ...config, ...changes }, runtime));
  const { service, status, meter, log } = running;
  const target = {
    service: "enricher",
    version: "test",
    instanceId: "1",
    status,
    meter,
    log,
    ...service,
    drain() {},
  };
  const extras = service.adminServices ?? [];
  const admin = await startAdminServer(target, { host: "127.0.0.1", port: 0, extras });
  adminServers.push(admin);
  const transport = createGrpcTransport({ baseUrl: `http://127.0.0.1:${admin.port}` });
  const started = service.start().then(() => {
    status.state = ServiceState.RUNNING;
  });
  started.catch(() => {});
  const enricher = { ...running, started, pipelines: createClient(PipelineService, transport) };
  enrichers.push(enricher);
  return enricher;
}

async function startEnricher(changes?: Partial<EnricherConfig>): Promise<Enricher> {
  const enricher = await openEnricher(changes);
  await enricher.started;
  return enricher;
}

async function publish(...messages: Uint8Array[]): Promise<void> {
  for (const bytes of messages) await jetstream(nc).publish(names.subject("raw", 0), bytes);
}

function batchOf(...records: SampleRecord[]): Uint8Array {
  return encodeSample(sampleRawBatch({ records }));
}

async function messagesIn(role: StreamRole): Promise<number> {
  return (await jsm.streams.info(names.stream(role))).state.messages;
}

/** What is in ENRICHED, oldest first. */
async function enriched(): Promise<RecordBatch[]> {
  const { state } = await jsm.streams.info(names.stream("enriched"));
  const batches: RecordBatch[] = [];
  for (let seq = state.first_seq; seq <= state.last_seq; seq++) {
    const message = await jsm.streams.getMessage(names.stream("enriched"), { seq });
    for (const bytes of unbundle(message?.data ?? new Uint8Array())) {
      const decoded = decodeBatch(bytes);
      if (decoded.kind === "batch") batches.push(decoded.batch);
    }
  }
  return batches;
}

async function untilRawIsEmpty(): Promise<void> {
  await vi.waitFor(async () => expect(await messagesIn("raw")).toBe(0), WAIT);
}

const batchIds = (batches: RecordBatch[]) =>
  batches.map(({ batchId }) => Buffer.from(batchId).toString("hex"));

test("drains at once while it waits for its stream", async () => {
  // Somebody else works it off: a work queue has one consumer.
  await jsm.consumers.add(names.stream("raw"), { durable_name: "other", ack_policy: AckPolicy.Explicit });
  const enricher = await openEnricher();
  await vi.waitFor(() => expect(enricher.status.waitingFor.join()).toContain("consumer"), WAIT);
  const startedMs = performance.now();
  await enricher.drain();
  expect(performance.now() - startedMs).toBeLessThan(5_000);
});

test("passes one message on for each, with its number in RAW, and counts what passes", async () => {
  await startEnricher();
  const raw = [sampleRawBatch({ records: [{}, {}] }), sampleRawBatch({ records: [{ dataId: "" }, {}] })];
  await publish(...raw.map(encodeSample));
  await untilRawIsEmpty();
  const passed = await enriched();
  expect(batchIds(passed)).toEqual(batchIds(raw));
  expect(passed.map(({ origin }) => origin?.sequence)).toEqual([1n, 2n]);
  expect(new Set(passed.map(({ origin }) => origin?.epoch)).size).toBe(1);
  const [{ meter, status } = expect.fail()] = enrichers;
  expect([meter.batches, meter.records]).toEqual([2, 4]);
  expect(meter.total("chowhound.records.failed", { "chowhound.reason": "identity_missing" })).toBe(1);
  expect(status.isServing).toBe(true);
});

test("a pipeline applied at run time is in force at once, at every replica, and noted on each record", async () => {
  const [one, two] = [await startEnricher(), await startEnricher()];
  await publish(batchOf({}));
  await untilRawIsEmpty();
  const definition = definitionOf("- set: { values: { lang: de } }", { tenant: "*" });
  const { pipeline } = await one.pipelines.applyPipeline({ definition });
  expect(pipeline).toMatchObject({ tenantId: "*", sourceType: "forum", definition });
  const version = pipeline!.version;
  await vi.waitFor(async () => {
    const { pipelines } = await two.pipelines.listPipelines({});
    expect(pipelines).toMatchObject([{ tenantId: "*", sourceType: "forum", version, definition: "" }]);
  }, WAIT);
  await publish(...Array.from({ length: 200 }, () => batchOf({}, { sourceType: "chat" })));
  await untilRawIsEmpty();
  const [before, ...after] = await enriched();
  expect(before?.pipelines).toMatchObject([{ version: 0n }]);
  expect(after).toHaveLength(200);
  for (const { pipelines, pipelineOf, enrichments } of after) {
    expect(pipelineOf.map((place) => pipelines[place]?.version)).toEqual([version, 0n]);
    expect(enrichments).toMatchObject([{ index: 0, lang: "de" }]);
  }
  // Both had a share, or this says nothing of replicas.
  for (const { meter } of [one, two]) expect(meter.batches).toBeGreaterThan(1);
  expect(one.meter.total("chowhound.records.enriched") + two.meter.total("chowhound.records.enriched")).toBe(
    200,
  );
  expect(two.meter.total("chowhound.pipelines.loaded")).toBe(1);
});

describe("PipelineService", () => {
  test("refuses an invalid pipeline with every problem and its line, and changes nothing", async () => {
    const { pipelines } = await startEnricher();
    const definition = definitionOf("- teleport: {}\n- set: { values: { nowhere: 1, uuid: x } }", {
      tenant: "ACME!",
    });
    const call = pipelines.applyPipeline({ definition });
    const error = await call.then(() => expect.fail("was accepted"), ConnectError.from);
    expect(error.code).toBe(Code.InvalidArgument);
    const problems = [
      ["line 1", "tenant", "a tenant's id matches"],
      ["line 4", "steps[0]", "unknown step 'teleport'"],
      ["line 5", "steps[1].set.values.nowhere", "unknown field 'nowhere'"],
      ["line 5", "steps[1].set.values.uuid", "'uuid' is read-only"],
    ] as const;
    const lines = error.rawMessage.split("\n").slice(1);
    const [{ fieldViolations } = expect.fail()] = error.findDetails(BadRequestSchema);
    for (const [line, path, message] of problems) {
      const [found = ""] = lines.filter((text) => text.includes(message));
      expect(found.startsWith(`${line}, ${path}`), found).toBe(true);
      const violation = fieldViolations.find(({ description }) => description.includes(message));
      expect(violation?.field).toBe(`definition.${path}`);
    }
    expect(lines).toHaveLength(problems.length);
    expect((await pipelines.listPipelines({})).pipelines).toEqual([]);
  });

  test("an endless list of problems still fits an answer", async () => {
    const { pipelines } = await startEnricher();
    const names = Array.from({ length: 60 }, (_, n) => `- step${n}${"x".repeat(100)}: {}`);
    const error = await pipelines
      .applyPipeline({ definition: definitionOf(names.join("\n")) })
      .then(() => expect.fail("was accepted"), ConnectError.from);
    expect(error.code).toBe(Code.InvalidArgument);
    expect(error.rawMessage).toMatch(/\nand \d+ more$/);
  });

  test("only validates when asked to", async () => {
    const { pipelines } = await startEnricher();
    const definition = definitionOf("- redact: { detect: [email] }");
    const { pipeline } = await pipelines.applyPipeline({ definition, validateOnly: true });
    expect(pipeline).toMatchObject({ tenantId: "acme", sourceType: "forum", version: 0n });
    await expect(pipelines.getPipeline({ tenantId: "acme", sourceType: "forum" })).rejects.toMatchObject({
      code: Code.NotFound,
    });
    await pipelines.applyPipeline({ definition });
    const got = await pipelines.getPipeline({ tenantId: "acme", sourceType: "forum" });
    expect(got.pipeline?.definition).toBe(definition);
  });
});

test("whatever RAW takes and is no batch can be passed on: the largest, too", async () => {
  await startEnricher();
  const largest = maxRawMessageBytes(nc);
  await publish(Buffer.alloc(largest, 0xff));
  await untilRawIsEmpty();
  const [junk] = await enriched();
  expect(junk?.originals.map(({ length }) => length)).toEqual([largest]);
  expect(junk?.deadLabels).toMatchObject([{ reason: "undecodable_batch" }]);
});

test("a record that fails is dead, whole, and its neighbours pass; so is a message that is no batch", async () => {
  const { pipelines, meter } = await startEnricher();
  await pipelines.applyPipeline({ definition: definitionOf("- require: { fields: [metadata.name] }") });
  const raw = sampleRawBatch({
    records: [{ metadata: { name: "a" } }, { data: "secret" }, { metadata: { name: "b" } }],
  });
  await publish(encodeSample(raw), Buffer.from("junk"));
  await untilRawIsEmpty();
  const [batch, junk] = await enriched();
  expect(batch?.originals.map((original) => Buffer.from(original))).toEqual(raw.originals);
  expect(batch?.deadLabels).toMatchObject([
    {
      index: 1,
      stage: "enricher",
      reason: "required_field_missing",
      detail: "0:require: metadata.name is missing",
    },
  ]);
  expect(junk).toMatchObject({ acceptedCount: 1, origin: { sequence: 2n } });
  expect(junk?.deadLabels).toMatchObject([{ index: 0, reason: "undecodable_batch" }]);
  expect(Buffer.from(junk!.originals[0]!).toString()).toBe("junk");
  for (const reason of ["required_field_missing", "undecodable_batch"] as const)
    expect(meter.total("chowhound.records.failed", { "chowhound.reason": reason })).toBe(1);
});

test("gives back what newer software wrote, and goes on with the rest", async () => {
  await startEnricher();
  const newer = { ...sampleRawBatch({ records: [{}] }), envelopeVersion: NEWEST_ENVELOPE_VERSION + 1 };
  await publish(toBinary(RecordBatchSchema, create(RecordBatchSchema, newer)), batchOf({}));
  await vi.waitFor(async () => expect(await messagesIn("raw")).toBe(1), WAIT);
  expect((await enriched()).map(({ origin }) => origin?.sequence)).toEqual([2n]);
});

describe("takes nothing and is not serving", () => {
  async function expectIdle({ status, meter }: Enricher, why: RegExp): Promise<void> {
    await vi.waitFor(() => expect(status.waitingFor.join()).toMatch(why), WAIT);
    await publish(batchOf({}));
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    expect(status.isServing).toBe(false);
    expect(meter.batches).toBe(0);
    expect(await messagesIn("raw")).toBe(1);
    expect(await messagesIn("enriched")).toBe(0);
  }

  test("until the pipelines are loaded", async () => {
    const bucket = names.pipelinesBucket;
    // In the bucket's place something that can't be watched.
    const retention = RetentionPolicy.Workqueue;
    await jsm.streams.add({ name: `KV_${bucket}`, subjects: [`$KV.${bucket}.>`], retention });
    const enricher = await openEnricher();
    await expectIdle(enricher, /pipelines: not loaded/);
    await expect(enricher.pipelines.listPipelines({})).rejects.toMatchObject({ code: Code.Unavailable });
    await jsm.streams.delete(`KV_${bucket}`);
    await enricher.started;
    await untilRawIsEmpty();
    expect(enricher.status.isServing).toBe(true);
  });

  /** As newer software would store it. */
  async function storeUnknownStep(): Promise<void> {
    const definition = definitionOf("- teleport: {}");
    const pipeline = { tenantId: "acme", sourceType: "forum", version: 5n, definition };
    const kv = await new Kvm(nc).create(names.pipelinesBucket);
    await kv.put(pipelineKey("acme", "forum"), toBinary(PipelineSchema, create(PipelineSchema, pipeline)));
  }

  const why = /^pipelines: the pipeline acme\/forum, version 5: line 4: unknown step 'teleport'/;

  test("while a stored pipeline has a step it doesn't know, be it there at the start", async () => {
    await storeUnknownStep();
    const enricher = await startEnricher();
    await expectIdle(enricher, why);
    enricher.service.resume();
    await enricher.pipelines.applyPipeline({ definition: definitionOf("- set: { values: { lang: de } }") });
    await untilRawIsEmpty();
    expect(enricher.status.isServing).toBe(true);
    expect((await enriched())[0]?.enrichments).toMatchObject([{ lang: "de" }]);
  });

  test("or does it come at run time", async () => {
    const enricher = await startEnricher();
    await storeUnknownStep();
    await expectIdle(enricher, why);
    await (await new Kvm(nc).open(names.pipelinesBucket)).delete(pipelineKey("acme", "forum"));
    await untilRawIsEmpty();
    expect(enricher.status.isServing).toBe(true);
  });

  test("a mended pipeline doesn't resume what an operator has paused", async () => {
    await storeUnknownStep();
    const enricher = await startEnricher();
    enricher.service.pause();
    await enricher.pipelines.applyPipeline({ definition: definitionOf("- set: { values: { lang: de } }") });
    await publish(batchOf({}));
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    expect(await messagesIn("raw")).toBe(1);
    enricher.service.resume();
    await untilRawIsEmpty();
  });
});

test("holds what a full stream refuses, without multiplying it", async () => {
  const maxBytes = 100_000;
  await ensureStream(nc, names, "enriched", { maxBytes, replicas: 1 });
  const filler = await jetstream(nc).publish(names.subject("enriched", 0), Buffer.alloc(70_000));
  const raw = Array.from({ length: 8 }, () => sampleRawBatch({ records: [{ data: "x".repeat(9_000) }] }));
  await publish(...raw.map(encodeSample));
  const enricher = await startEnricher({ streamMaxBytes: maxBytes, ackWaitMs: 1_000 });
  await vi.waitFor(async () => expect(await messagesIn("raw")).toBeLessThan(8), WAIT);
  // Several times as long as JetStream waits before it delivers a message again that nobody reports on.
  await new Promise((resolve) => setTimeout(resolve, 3_500));
  const held = await messagesIn("raw");
  expect(held).toBeGreaterThan(3);
  await jsm.streams.deleteMessage(names.stream("enriched"), filler.seq);
  await untilRawIsEmpty();
  expect(batchIds(await enriched()).sort()).toEqual(batchIds(raw).sort());
  expect(enricher.meter.batches).toBe(8);
});

test("a drain under load loses nothing and sends nothing twice", async () => {
  const raw = Array.from({ length: 300 }, () => sampleRawBatch({ records: [{}, {}] }));
  await publish(...raw.map(encodeSample));
  const first = await startEnricher({ maxHeldBatches: 8 });
  await vi.waitFor(() => expect(first.meter.batches).toBeGreaterThan(20), { timeout: 20_000, interval: 1 });
  await first.drain();
  expect(first.meter.batches).toBeLessThan(300);
  expect((await messagesIn("raw")) + (await enriched()).length).toBe(300);
  await startEnricher();
  await untilRawIsEmpty();
  expect(batchIds(await enriched()).sort()).toEqual(batchIds(raw).sort());
});

test("tells its lag", async () => {
  const { service } = await startEnricher();
  expect(await service.lag()).toMatchObject([{ stream: names.stream("raw"), pendingBatches: 0 }]);
});
