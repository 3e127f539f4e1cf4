import { existsSync } from "node:fs";
import { chmod, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, inject, test } from "vitest";
import { createHealthClient } from "./health-client.ts";
import { type Mesh, type MeshOptions, startMesh } from "./mesh.ts";
import { MeshStopError } from "./mesh-process.ts";
import { removePostgresData } from "./postgres.ts";
import { isRunning, processStart } from "./process-start.ts";
import { ServerStartError } from "./server-child.ts";

let dataDir: string;
let mesh: Mesh | undefined;

beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), "chowhound-mesh-"));
  await chmod(dataDir, 0o711);
  // The same nats-server as in all other tests of this run.
  process.env.CHOWHOUND_NATS_SERVER = inject("natsBinary");
});
afterEach(async () => {
  await mesh?.stop().catch(() => {});
  mesh = undefined;
  await removePostgresData(join(dataDir, "postgres"));
  await rm(dataDir, { recursive: true, maxRetries: 10 });
});

async function start(options: Partial<MeshOptions> = {}): Promise<Mesh> {
  mesh = await startMesh({ dataDir, durable: false, log: () => {}, ...options });
  return mesh;
}

async function isServing(address: string): Promise<boolean> {
  const health = createHealthClient(address);
  try {
    return await health.isServing();
  } finally {
    health.close();
  }
}

const timeout = 120_000;

test("runs replicas; each part can be killed and comes back on its ports", { timeout }, async () => {
  const { endpoints, process: part, processes } = await start({ replicas: { gateway: 2, enricher: 2 } });
  expect(processes.map(({ name }) => name)).toEqual([
    "nats",
    "postgres",
    "gateway",
    "gateway-2",
    "enricher",
    "enricher-2",
    "dedup",
    "store",
  ]);
  expect(Object.keys(endpoints.admin)).toHaveLength(6);
  for (const address of Object.values(endpoints.admin)) expect(await isServing(address)).toBe(true);

  for (const name of ["gateway-2", "nats", "postgres"]) {
    const { pid } = part(name);
    part(name).kill("SIGKILL");
    await part(name).exited();
    expect(part(name).pid).toBeUndefined();
    await part(name).restart();
    expect(part(name).pid).not.toBe(pid);
  }
  await expect.poll(() => isServing(endpoints.admin.store!), { timeout: 20_000 }).toBe(true);
  expect(() => part("enricher-3")).toThrow('no process "enricher-3"');
});

test("a service that does not start: says which and why, and leaves nothing running", {
  timeout,
}, async () => {
  const failure = start({ env: { store: { CHOWHOUND_STORE_WRITERS: "none" } } });
  await expect(failure).rejects.toThrow(ServerStartError);
  await expect(failure).rejects.toThrow(
    /^store did not start \(exit code 78\)[\s\S]*CHOWHOUND_STORE_WRITERS: "none" is not/,
  );
  for (const part of ["nats/nats-server", "postgres/postgres", "logs/gateway", "logs/dedup", "mesh"]) {
    expect(existsSync(join(dataDir, `${part}.pid`))).toBe(false);
  }
  await start();
});

test("a stop goes on past a service that does not drain, and tells", { timeout }, async () => {
  const {
    stop,
    process: part,
    processes,
  } = await start({ env: { dedup: { CHOWHOUND_DRAIN_TIMEOUT: "500ms" } } });
  const noted = processes.map(({ pid }) => ({ pid: pid!, start: processStart(pid!) }));
  part("nats").kill("SIGSTOP");
  setTimeout(() => part("nats").kill("SIGCONT"), 3_000);
  const failure = await stop().then(
    () => undefined,
    (error: unknown) => error,
  );
  expect(failure).toBeInstanceOf(MeshStopError);
  expect((failure as MeshStopError).problems.join()).toMatch(
    /dedup ended with exit code 1, see .*dedup\.log/,
  );
  expect(noted.filter(({ pid, start }) => isRunning(pid, start))).toEqual([]);
});
