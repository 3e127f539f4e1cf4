import { type JetStreamManager, jetstream, jetstreamManager } from "@nats-io/jetstream";
import { connect, type NatsConnection } from "@nats-io/transport-node";
import { afterAll, afterEach, beforeAll, beforeEach, expect, inject, test } from "vitest";
import { freshPrefix } from "../testing/test-servers.ts";
import {
  ensureStream,
  maxMessageBytes,
  maxRawMessageBytes,
  type NatsNames,
  natsNames,
  streamEpoch,
} from "./topology.ts";

let nc: NatsConnection;
let jsm: JetStreamManager;
let names: NatsNames;

beforeAll(async () => {
  nc = await connect({ servers: inject("natsUrl") });
  jsm = await jetstreamManager(nc);
});
afterAll(() => nc.close());
beforeEach(() => {
  names = natsNames(freshPrefix());
});
afterEach(async () => {
  await jsm.streams.delete(names.stream("raw")).catch(() => {});
});

const MIB = 1024 ** 2;
const ensure = (maxBytes: number) => ensureStream(nc, names, "raw", { maxBytes, replicas: 1 });
const maxBytesNow = async () => (await jsm.streams.info(names.stream("raw"))).config.max_bytes;

test("five processes may make sure of it at once", async () => {
  const connections = await Promise.all(
    Array.from({ length: 5 }, () => connect({ servers: inject("natsUrl") })),
  );
  const infos = await Promise.all(
    connections.map((connection) => ensureStream(connection, names, "raw", { maxBytes: MIB, replicas: 1 })),
  );
  await Promise.all(connections.map((connection) => connection.close()));
  const [epoch, ...others] = infos.map(streamEpoch);
  expect(others).toEqual(Array(4).fill(epoch));
  expect(streamEpoch(await ensure(MIB))).toBe(epoch);
});

test("is a work queue on disk that refuses what doesn't fit", async () => {
  const { config } = await ensure(MIB);
  expect(config).toMatchObject({
    name: names.stream("raw"),
    subjects: [names.subjects("raw")],
    retention: "workqueue",
    storage: "file",
    discard: "new",
    max_bytes: MIB,
    max_msg_size: maxRawMessageBytes(nc),
    max_age: 0,
  });
});

test("takes over another size without touching what it holds", async () => {
  const before = await ensure(MIB);
  await jetstream(nc).publish(names.subject("raw", 0), new Uint8Array(200_000));
  for (const maxBytes of [2 * MIB, 300_000]) {
    const after = await ensure(maxBytes);
    expect(after.config.max_bytes).toBe(maxBytes);
    expect(await maxBytesNow()).toBe(maxBytes);
    expect(after.state.messages).toBe(1);
    expect(streamEpoch(after)).toBe(streamEpoch(before));
  }
});

test("doesn't shrink below what it holds: JetStream would delete messages", async () => {
  await ensure(MIB);
  for (let i = 0; i < 3; i++) await jetstream(nc).publish(names.subject("raw", 0), new Uint8Array(100_000));
  const info = await ensure(200_000);
  expect(info.config.max_bytes).toBe(MIB);
  expect(await maxBytesNow()).toBe(MIB);
  expect((await jsm.streams.info(names.stream("raw"))).state.messages).toBe(3);
});

test("a stream made anew has a greater epoch", async () => {
  const first = streamEpoch(await ensure(MIB));
  await jsm.streams.delete(names.stream("raw"));
  expect(streamEpoch(await ensure(MIB))).toBeGreaterThan(first);
});

test("takes the largest message that it promises, and no larger one", async () => {
  const js = jetstream(nc);
  for (const [role, largest] of [
    ["raw", maxRawMessageBytes(nc)],
    ["unique", maxMessageBytes(nc)],
  ] as const) {
    await ensureStream(nc, names, role, { maxBytes: 64 * MIB, replicas: 1 });
    await js.publish(names.subject(role, 0), new Uint8Array(largest));
    await expect(js.publish(names.subject(role, 0), new Uint8Array(largest + 1))).rejects.toThrow(
      /message size exceeds maximum/,
    );
  }
  await jsm.streams.delete(names.stream("unique"));
});

test("the names of two meshes don't meet", async () => {
  const other = natsNames(freshPrefix());
  await ensure(MIB);
  await ensureStream(nc, other, "raw", { maxBytes: MIB, replicas: 1 });
  const ack = await jetstream(nc).publish(other.subject("raw", 7), "message");
  expect(ack.stream).toBe(other.stream("raw"));
  await jsm.streams.delete(other.stream("raw"));
});
