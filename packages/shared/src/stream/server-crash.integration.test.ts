import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type NatsServer, startNatsServer } from "@chowhound/local/nats-server";
import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/transport-node";
import { pino } from "pino";
import { afterEach, beforeEach, expect, inject, test, vi } from "vitest";
import { ServiceStatus } from "../runtime/service-status.ts";
import { Meter } from "../telemetry/meter.ts";
import type { Delivery } from "./delivery.ts";
import { connectNats } from "./nats-connection.ts";
import { publishUntilAcknowledged } from "./publish-batch.ts";
import { StageConsumer, type StageConsumerOptions } from "./stage-consumer.ts";
import { ensureStream, natsNames } from "./topology.ts";

const names = natsNames("crash");
const streamOptions = { maxBytes: 16 << 20, replicas: 1 };
const log = pino({ enabled: false });
const meter = new Meter("enricher");

let dataDir: string;
let server: NatsServer | undefined;
let nc: NatsConnection | undefined;
let status: ServiceStatus;

beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), "chowhound-crash-"));
  status = new ServiceStatus();
});
afterEach(async () => {
  await nc?.close();
  await server?.stop();
  nc = server = undefined;
  await rm(dataDir, { recursive: true, force: true });
});

async function startServer(port?: number): Promise<NatsServer> {
  const binary = { path: inject("natsBinary"), version: inject("natsVersion") };
  server = await startNatsServer({
    binary,
    dataDir,
    ...(port === undefined ? {} : { port }),
    log: () => {},
  });
  return server;
}

async function crash(): Promise<number> {
  const { port, exited } = server!;
  server!.kill("SIGKILL");
  await exited;
  return port;
}

function connectTo(url: string, signal = new AbortController().signal): Promise<NatsConnection> {
  return connectNats({ urls: [url], name: "test", log, status, meter, signal });
}

function createConsumer(
  options: Pick<StageConsumerOptions, "ackWaitMs" | "maxHeld" | "onDelivery">,
): StageConsumer {
  return new StageConsumer({
    nc: nc!,
    names,
    stream: "raw",
    streamOptions,
    stage: "stage",
    dependency: status.dependency("raw-stream"),
    log,
    meter,
    ...options,
  });
}

test("the connection waits for the server and comes back to it; the status says which", async () => {
  const { url, port } = await startServer();
  await crash();
  const connecting = connectTo(url);
  await vi.waitFor(() => expect(status.waitingFor[0]).toMatch(/^nats: .*refused/i), 5_000);
  await startServer(port);
  nc = await connecting;
  expect(status.waitingFor).toEqual([]);

  await crash();
  await vi.waitFor(() => expect(status.waitingFor).toEqual(["nats: connection lost"]), 5_000);
  await startServer(port);
  await vi.waitFor(() => expect(status.waitingFor).toEqual([]), 5_000);
  await nc.flush();
});

test("waiting for the server ends when the process gives up", async () => {
  const { url } = await startServer();
  await crash();
  const givingUp = new AbortController();
  const connecting = connectTo(url, givingUp.signal);
  setTimeout(() => givingUp.abort(), 200);
  await expect(connecting).rejects.toThrow();
});

test("a publisher and a consumer work on after a crash, and nothing acknowledged is missing", async (context) => {
  context.skip(!inject("natsIsCurrent"), "nats-server 2.9 loses messages in a crash");
  const { url } = await startServer();
  nc = await connectTo(url);
  const js = jetstream(nc);
  await ensureStream(nc, names, "raw", streamOptions);

  const delivered = new Set<string>();
  const epochs = new Set<bigint>();
  const consumer = createConsumer({
    ackWaitMs: 2_000,
    maxHeld: 20,
    onDelivery: (delivery) => {
      delivered.add(new TextDecoder().decode(delivery.bytes));
      epochs.add(delivery.epoch);
      setTimeout(delivery.ack, 5);
    },
  });
  await consumer.start();

  const acknowledged: string[] = [];
  const enough = new AbortController();
  const publishing = (async () => {
    for (let i = 0; !enough.signal.aborted; i++) {
      const text = `message ${i}`;
      const { signal } = new AbortController();
      await publishUntilAcknowledged(js, names.subject("raw", 0), Buffer.from(text), {
        log,
        signal,
        meter,
        stream: names.stream("raw"),
      });
      acknowledged.push(text);
    }
  })();
  for (let crashes = 0; crashes < 2; crashes++) {
    const before = acknowledged.length;
    await vi.waitFor(() => expect(acknowledged.length).toBeGreaterThan(before + 100), 20_000);
    const port = await crash();
    await startServer(port);
  }
  const before = acknowledged.length;
  await vi.waitFor(() => expect(acknowledged.length).toBeGreaterThan(before + 100), 20_000);
  enough.abort();
  await publishing;

  const raw = names.stream("raw");
  const jsm = await jetstreamManager(nc);
  await vi.waitFor(async () => expect((await jsm.streams.info(raw)).state.messages).toBe(0), 20_000);
  expect(acknowledged.filter((text) => !delivered.has(text))).toEqual([]);
  expect(epochs.size).toBe(1);
  await consumer.drain();
  await vi.waitFor(async () =>
    expect((await consumer.lag())[0]).toMatchObject({ pendingBatches: 0, unacknowledgedBatches: 0 }),
  );
});

test("a consumer holds no more than it has room for, also across a reconnect in the midst of a fetch", async () => {
  const { url } = await startServer();
  nc = await connectTo(url);
  const held: Delivery[] = [];
  const consumer = createConsumer({
    ackWaitMs: 30_000,
    maxHeld: 10,
    onDelivery: (delivery) => void held.push(delivery),
  });
  await consumer.start();
  const js = jetstream(nc);
  const publish = async (count: number): Promise<void> => {
    for (let i = 0; i < count; i++) await js.publish(names.subject("raw", 0), "message");
  };
  await publish(4);
  await vi.waitFor(() => expect(held).toHaveLength(4));
  const port = await crash();
  await startServer(port);
  await vi.waitFor(() => expect(status.waitingFor).toEqual([]), 5_000);
  await publish(20);
  await vi.waitFor(() => expect(held.length).toBeGreaterThanOrEqual(10), 5_000);
  await new Promise((resolve) => setTimeout(resolve, 500));
  expect(held).toHaveLength(10);

  // What there was no room for comes later.
  const settling = setInterval(() => held.forEach((delivery) => void delivery.ack()), 20);
  const jsm = await jetstreamManager(nc);
  await vi.waitFor(
    async () => expect((await jsm.streams.info(names.stream("raw"))).state.messages).toBe(0),
    10_000,
  );
  await consumer.drain();
  clearInterval(settling);
});

test("a drain ends in seconds while the server is away", async () => {
  const { url } = await startServer();
  nc = await connectTo(url);
  const consumer = createConsumer({
    ackWaitMs: 30_000,
    maxHeld: 10,
    onDelivery: (delivery) => delivery.ack(),
  });
  await consumer.start();
  await crash();
  await vi.waitFor(() => expect(status.waitingFor.join()).toContain("nats"), 5_000);
  const drained = await Promise.race([
    consumer.drain().then(() => true),
    new Promise((resolve) => setTimeout(resolve, 10_000, false)),
  ]);
  expect(drained).toBe(true);
});
