import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { PortInUseError } from "./free-port.ts";
import { type NatsServer, type NatsServerOptions, startNatsServer } from "./nats-server.ts";
import { findNatsServer, type NatsServerBinary } from "./nats-server-binary.ts";
import { isAtLeast } from "./nats-version.ts";
import { ServerStartError } from "./server-child.ts";

let binary: NatsServerBinary;
let dataDir: string;
const started: NatsServer[] = [];

beforeAll(async () => {
  binary = await findNatsServer({ log: () => {} });
}, 600_000);
beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), "chowhound-nats-"));
});
afterEach(async () => {
  await Promise.all(started.splice(0).map((server) => server.stop()));
  await rm(dataDir, { recursive: true });
});

async function start(options: Partial<NatsServerOptions> = {}): Promise<NatsServer> {
  const server = await startNatsServer({ binary, dataDir, log: () => {}, ...options });
  started.push(server);
  return server;
}

test("keeps acknowledged messages through a kill, on the same port", async () => {
  const server = await start();
  const before = await connect({ servers: server.url });
  await (await jetstreamManager(before)).streams.add({ name: "TEST", subjects: ["test"] });
  for (let i = 1; i <= 100; i++) await jetstream(before).publish("test", `message ${i}`);
  await before.close();

  server.kill("SIGKILL");
  expect(await server.exited).toEqual({ code: null, signal: "SIGKILL" });
  const again = await start({ port: server.port });
  expect(again.url).toBe(server.url);

  const after = await connect({ servers: again.url });
  const { streams } = await jetstreamManager(after);
  expect((await streams.info("TEST")).state.messages).toBe(100);
  expect((await streams.getMessage("TEST", { seq: 100 }))?.string()).toBe("message 100");
  await after.close();
});

test("applies its limits, and syncs always where the server can", async () => {
  const server = await start({ maxPayloadBytes: 2 << 20, maxFileStoreBytes: 64 << 20 });
  const connection = await connect({ servers: server.url });
  expect(connection.info).toMatchObject({ max_payload: 2 << 20, version: binary.version });
  const manager = await jetstreamManager(connection);
  const stream = { name: "TEST", subjects: ["test"] };
  await expect(manager.streams.add({ ...stream, max_bytes: 65 << 20 })).rejects.toThrow(
    /insufficient storage/,
  );
  await manager.streams.add({ ...stream, max_bytes: 64 << 20 });
  await connection.close();
  const config = JSON.parse(await readFile(join(dataDir, "nats-server.conf"), "utf8"));
  expect(config.jetstream.sync_interval).toBe(isAtLeast(binary.version, "2.10") ? "always" : undefined);
});

test("stops, however often it is asked to", async () => {
  const server = await start();
  await Promise.all([server.stop(), server.stop()]);
  await server.stop();
  expect((await server.exited).signal).toBeNull();
  await expect(connect({ servers: server.url, reconnect: false })).rejects.toThrow();
});

test("says so when the port is taken", async () => {
  const { port } = await start();
  const elsewhere = join(dataDir, "elsewhere");
  await expect(start({ port, dataDir: elsewhere })).rejects.toThrow(PortInUseError);
  await expect(start({ port, dataDir: elsewhere })).rejects.toMatchObject({ port, what: "nats" });
});

test("shows the server's own words when it does not start", async () => {
  await writeFile(join(dataDir, "jetstream"), "a file where a directory should be");
  const failure = start();
  await expect(failure).rejects.toThrow(ServerStartError);
  await expect(failure).rejects.toThrow(/could not create storage directory|not a directory/);
});
