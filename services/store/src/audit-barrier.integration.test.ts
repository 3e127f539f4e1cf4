import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { nodeOptions, planNatsCluster, startNatsCluster } from "@chowhound/local/nats-cluster";
import { type NatsServer, startNatsServer } from "@chowhound/local/nats-server";
import { ensureStream, natsNames, STREAMS, streamEpoch } from "@chowhound/shared/stream/topology";
import { jetstream } from "@nats-io/jetstream";
import { connect, type NatsConnection } from "@nats-io/transport-node";
import { afterAll, beforeAll, beforeEach, expect, inject, it, vi } from "vitest";
import { createAuditor } from "./audit.ts";
import { type BarrierResult, drainMesh, readRawNumbers } from "./audit-barrier.ts";
import type { Ledger } from "./ledger.ts";

const WAIT = { timeout: 30_000, interval: 100 };
const names = natsNames("barrier");
const { signal } = new AbortController();
let directory: string;
let servers: NatsServer[] = [];
let nc: NatsConnection;
let restart: (place: number) => Promise<void>;

beforeAll(async () => {
  if (!inject("natsIsCurrent")) return;
  directory = await mkdtemp(join(tmpdir(), "chowhound-barrier-"));
  const nodes = await planNatsCluster(3);
  const options = {
    binary: { path: inject("natsBinary"), version: inject("natsVersion") },
    dataDir: directory,
    maxFileStoreBytes: 256 * 1024 ** 2,
    log: () => {},
  };
  servers = await startNatsCluster(nodes, options);
  restart = async (place) => {
    const node = nodes[place]!;
    servers[place] = await startNatsServer({
      ...options,
      ...nodeOptions(node, nodes),
      dataDir: join(directory, node.name),
    });
  };
  nc = await connect({ servers: servers.map(({ url }) => url), maxReconnectAttempts: -1 });
  for (const role of STREAMS)
    await vi.waitFor(() => ensureStream(nc, names, role, { maxBytes: 1024 ** 2, replicas: 3 }), WAIT);
}, 60_000);
beforeEach((context) => context.skip(!inject("natsIsCurrent"), "nats-server 2.9 is not tried as a cluster"));
afterAll(async () => {
  await nc?.close();
  await Promise.all(servers.map((server) => server.stop()));
  if (directory !== undefined) await rm(directory, { recursive: true, force: true });
});

async function drain(timeoutMs: number): Promise<BarrierResult> {
  const draining = drainMesh({ nc, names, timeoutMs, signal });
  let step = await draining.next();
  while (!step.done) step = await draining.next();
  return step.value;
}

const isWholeNow = async (): Promise<boolean> => (await readRawNumbers(nc, names)).isCertain;

it("believes no stream of which a copy is away: it waits, and is stalled in the end", async () => {
  await vi.waitFor(async () => expect(await isWholeNow()).toBe(true), WAIT);
  const epoch = streamEpoch(await ensureStream(nc, names, "raw", { maxBytes: 1024 ** 2, replicas: 3 }));
  expect(await drain(10_000)).toEqual({ mark: { epoch, last: 0n } });

  await servers[1]!.stop();
  await vi.waitFor(async () => expect(await isWholeNow()).toBe(false), WAIT);
  expect(await drain(1_000)).toEqual({
    stall: {
      stream: names.stream("raw"),
      batchesLeft: 0n,
      why: expect.stringContaining("not all of its copies are there"),
    },
  });
  // After the barrier, too, RAW is not believed.
  const auditor = createAuditor({ ledger: {} as Ledger, nc: () => nc, names, signal });
  const writeOff = auditor.writeOff({ epoch, first: 1n, last: 1n }, { note: "", writtenOffBy: "" });
  await expect(writeOff).rejects.toMatchObject({ reason: "write_off_refused" });

  const waiting = drain(60_000);
  await restart(1);
  expect(await waiting).toEqual({ mark: { epoch, last: 0n } });
  await vi.waitFor(() => jetstream(nc).publish(names.subject("raw", 0), "batch"), WAIT);
  expect(await drain(1_000)).toMatchObject({ stall: { batchesLeft: 1n } });
}, 120_000);
