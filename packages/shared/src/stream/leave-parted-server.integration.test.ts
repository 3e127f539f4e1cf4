import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { findFreePort } from "@chowhound/local/free-port";
import { planNatsCluster, startNatsCluster } from "@chowhound/local/nats-cluster";
import { startNatsServer } from "@chowhound/local/nats-server";
import { connect } from "@nats-io/transport-node";
import { pino } from "pino";
import { afterEach, beforeEach, expect, inject, it, vi } from "vitest";
import { leavePartedServer } from "./leave-parted-server.ts";

const closers: (() => Promise<unknown>)[] = [];
let dataDir: string;

beforeEach(async (context) => {
  context.skip(!inject("natsIsCurrent"), "needs a current nats-server");
  dataDir = await mkdtemp(join(tmpdir(), "chowhound-parted-"));
  closers.push(() => rm(dataDir, { recursive: true, force: true }));
});
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

it("leaves a server that reaches no others, and stays with one that does", async () => {
  const binary = { path: inject("natsBinary"), version: inject("natsVersion") };
  const options = { binary, maxFileStoreBytes: 64 * 1024 ** 2, syncAlways: false, log: () => {} };
  const cluster = { serverName: "alone", routePort: await findFreePort(), peerPorts: [await findFreePort()] };
  const alone = await startNatsServer({ ...options, dataDir: join(dataDir, "alone"), cluster });
  closers.push(() => alone.stop());
  const pair = await startNatsCluster(await planNatsCluster(2), { ...options, dataDir });
  closers.push(() => Promise.all(pair.map((server) => server.stop())));

  const servers = [alone, ...pair].map(({ port }) => `127.0.0.1:${port}`);
  const nc = await connect({ servers, noRandomize: true, reconnectTimeWait: 50 });
  closers.push(() => nc.close());
  expect(nc.getServer()).toBe(servers[0]);
  const stopping = new AbortController();
  closers.push(async () => stopping.abort());
  void leavePartedServer(nc, { log: pino({ level: "silent" }), signal: stopping.signal, lookMs: 250 });

  await vi.waitFor(() => expect(servers.slice(1)).toContain(nc.getServer()), {
    timeout: 45_000,
    interval: 100,
  });
});
