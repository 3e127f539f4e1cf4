import { type JetStreamManager, jetstream, jetstreamManager } from "@nats-io/jetstream";
import { connect, type NatsConnection } from "@nats-io/transport-node";
import { pino } from "pino";
import { afterAll, afterEach, beforeAll, beforeEach, expect, inject, test, vi } from "vitest";
import { Meter } from "../telemetry/meter.ts";
import { freshPrefix } from "../testing/test-servers.ts";
import { isStreamFull, publishOnce, publishUntilAcknowledged } from "./publish-batch.ts";
import { ensureStream, maxMessageBytes, type NatsNames, natsNames } from "./topology.ts";

const KIB = 1024;

let nc: NatsConnection;
let jsm: JetStreamManager;
let names: NatsNames;
let logged: { why: string }[];
const log = pino({ base: null }, { write: (line: string) => void logged.push(JSON.parse(line)) });

beforeAll(async () => {
  nc = await connect({ servers: inject("natsUrl") });
  jsm = await jetstreamManager(nc);
});
afterAll(() => nc.close());
beforeEach(async () => {
  names = natsNames(freshPrefix());
  logged = [];
  meter = new Meter("enricher");
  await ensureStream(nc, names, "raw", { maxBytes: 100 * KIB, replicas: 1 });
});
afterEach(async () => {
  await jsm.streams.delete(names.stream("raw")).catch(() => {});
});

const subject = (): string => names.subject("raw", 0);
let meter: Meter;
const telemetry = () => ({ meter, stream: names.stream("raw") });
const large = new Uint8Array(60 * KIB);
const publish = (signal: AbortSignal, to = subject()) =>
  publishUntilAcknowledged(jetstream(nc), to, large, { log, signal, ...telemetry() });
const messages = async () => (await jsm.streams.info(names.stream("raw"))).state.messages;
const never = new AbortController().signal;

test("what is acknowledged is in the stream", async () => {
  expect(await publish(never)).toBe(true);
  expect(await messages()).toBe(1);
  expect(logged).toEqual([]);
});

test("a full stream is known by its error, and stores nothing", async () => {
  const js = jetstream(nc);
  await publishOnce(js, subject(), large, telemetry());
  const error = await publishOnce(js, subject(), large, telemetry()).then(
    () => undefined,
    (error: unknown) => error,
  );
  expect(isStreamFull(error)).toBe(true);
  expect(await messages()).toBe(1);
  const failures = (reason: "stream_full" | "not_acknowledged") =>
    meter.total("chowhound.publish.failures", { "chowhound.reason": reason });
  expect([failures("stream_full"), failures("not_acknowledged")]).toEqual([1, 0]);
  const duration = meter.metrics.find(({ name }) => name === "messaging.client.operation.duration");
  expect(duration?.series).toMatchObject([
    { attributes: { "messaging.destination.name": names.stream("raw") }, value: { count: 1 } },
  ]);
});

test("other errors are not a full stream", async () => {
  const js = jetstream(nc);
  const failure = (publishing: Promise<unknown>) => publishing.catch((error: unknown) => error);
  const tooLarge = await failure(
    publishOnce(js, subject(), new Uint8Array(maxMessageBytes(nc) + 1), telemetry()),
  );
  const noStream = await failure(publishOnce(js, "nobody.listens", large, telemetry()));
  expect(tooLarge).toBeInstanceOf(Error);
  expect(noStream).toBeInstanceOf(Error);
  expect([tooLarge, noStream, new Error("full"), undefined].map(isStreamFull)).toEqual(Array(4).fill(false));
});

test("publishing waits while the stream is full and succeeds once there is room", async () => {
  await publishOnce(jetstream(nc), subject(), large, telemetry());
  let outcome: boolean | undefined;
  const publishing = publish(never).then((acknowledged) => {
    outcome = acknowledged;
  });
  await vi.waitFor(() => expect(logged.length).toBeGreaterThanOrEqual(3), 5_000);
  expect(outcome).toBeUndefined();
  expect(new Set(logged.map(({ why }) => why))).toEqual(new Set(["the stream is full"]));
  await jsm.streams.deleteMessage(names.stream("raw"), 1);
  await publishing;
  expect(outcome).toBe(true);
  expect(await messages()).toBe(1);
});

test("publishing waits for a stream that isn't there yet", async () => {
  const publishing = publish(never, names.subject("unique", 0));
  await vi.waitFor(() => expect(logged.length).toBeGreaterThanOrEqual(1), 6_000);
  await ensureStream(nc, names, "unique", { maxBytes: 100 * KIB, replicas: 1 });
  expect(await publishing).toBe(true);
  await jsm.streams.delete(names.stream("unique"));
});

test("publishing ends with false when the process gives up", async () => {
  await publishOnce(jetstream(nc), subject(), large, telemetry());
  const givingUp = new AbortController();
  const publishing = publish(givingUp.signal);
  await vi.waitFor(() => expect(logged.length).toBeGreaterThanOrEqual(2), 5_000);
  const abortedAt = performance.now();
  givingUp.abort();
  expect(await publishing).toBe(false);
  expect(performance.now() - abortedAt).toBeLessThan(200);
  expect(await messages()).toBe(1);
});

test("publishing is tried once, even when the process is giving up: a drain finishes what is held", async () => {
  expect(await publish(AbortSignal.abort())).toBe(true);
  expect(await messages()).toBe(1);
});
