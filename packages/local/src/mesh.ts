import { mkdir } from "node:fs/promises";
import { join, resolve } from "node:path";
import { claimDataDir } from "./data-dir-claim.ts";
import { createMeshParts, type MeshEndpoints, type MeshOptions } from "./mesh-parts.ts";
import { type MeshProcess, MeshStopError } from "./mesh-process.ts";

export type { MeshEndpoints, MeshOptions, MeshPorts } from "./mesh-parts.ts";

type MeshParts = Awaited<ReturnType<typeof createMeshParts>>;

/** A running mesh. */
export interface Mesh {
  endpoints: MeshEndpoints;
  /** The servers of NATS, postgres, then the services in the order in which a record passes them. */
  processes: readonly MeshProcess[];
  /** By name: "nats", "postgres", "gateway", "enricher-2". Throws where there is none. */
  process(name: string): MeshProcess;
  /** The gateway's key file, for keys of further tenants. */
  keysFile: string;
  /** Drains the services, then stops the servers. Stops everything, then throws MeshStopError if something went wrong. */
  stop(): Promise<void>;
}

/**
 * Starts a whole mesh on the loopback interface, each part a process of its own, and waits until all of it is ready.
 * Nothing of it survives this process. A start that fails leaves nothing running.
 *
 * @throws {DataDirInUseError} where a mesh already runs on the directory
 * @throws {PortInUseError} @throws {ServerStartError} @throws {NatsServerNotFoundError}
 */
export async function startMesh(options: MeshOptions): Promise<Mesh> {
  const { signal, log } = options;
  const dataDir = resolve(options.dataDir);
  await mkdir(join(dataDir, "logs"), { recursive: true });
  const claim = await claimDataDir({
    what: "a mesh",
    pidFile: join(dataDir, "mesh.pid"),
    stopSignal: "SIGTERM",
    log,
  });
  let parts: MeshParts | undefined;
  const stop = once(async () => {
    await stopMesh(parts, log).finally(claim.release);
  });
  const giveUp = () => void stop().catch(() => {});
  signal?.addEventListener("abort", giveUp);
  try {
    parts = await createMeshParts({ ...options, dataDir });
    signal?.throwIfAborted();
    await startParts(parts, log);
    const processes = [...parts.nats, parts.postgres, ...parts.services];
    return {
      endpoints: parts.endpoints(),
      processes,
      process: (name) => {
        const found = processes.find((process) => process.name === name);
        if (found === undefined) throw new Error(`the mesh has no process ${JSON.stringify(name)}`);
        return found;
      },
      keysFile: parts.keysFile,
      stop,
    };
  } catch (error) {
    await stop().catch(() => {});
    throw signal?.aborted ? signal.reason : error;
  } finally {
    signal?.removeEventListener("abort", giveUp);
  }
}

/**
 * Starts all at once but for two waits: no service before NATS, for on a port that somebody else's NATS has it would
 * join that mesh; and not the store before there is a database. Rejects at the first failure.
 */
async function startParts(
  { nats, postgres, services }: MeshParts,
  log: (line: string) => void,
): Promise<void> {
  const start = async (process: MeshProcess): Promise<void> => {
    const startedMs = performance.now();
    await process.restart();
    log(`${process.name} ready (${seconds(startedMs)})`);
  };
  const natsReady = Promise.all(nats.map(start));
  const postgresReady = start(postgres);
  await Promise.all([
    natsReady,
    postgresReady,
    ...services.map(async (service) => {
      await natsReady;
      if (service.name.startsWith("store")) await postgresReady;
      await start(service);
    }),
  ]);
}

/** All services at the same time: what one of them leaves undone stays in its stream. */
async function stopMesh(parts: MeshParts | undefined, log: (line: string) => void): Promise<void> {
  if (parts === undefined) return;
  const { nats, postgres, services } = parts;
  const problems: string[] = [];
  const stop = async (process: MeshProcess, done: string): Promise<void> => {
    const startedMs = performance.now();
    const wasRunning = process.pid !== undefined;
    try {
      await process.stop();
      if (wasRunning) log(`${process.name} ${done} (${seconds(startedMs)})`);
    } catch (error) {
      problems.push(...(error instanceof MeshStopError ? error.problems : [String(error)]));
    }
  };
  await Promise.all(services.map((service) => stop(service, "drained")));
  await Promise.all([...nats, postgres].map((server) => stop(server, "stopped")));
  if (problems.length > 0) throw new MeshStopError(problems);
}

function seconds(sinceMs: number): string {
  return `${((performance.now() - sinceMs) / 1000).toFixed(1)} s`;
}

function once<T>(action: () => Promise<T>): () => Promise<T> {
  let result: Promise<T> | undefined;
  return () => {
    result ??= action();
    return result;
  };
}
