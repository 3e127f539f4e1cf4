import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestProject } from "vitest/node";
import { startNatsServer } from "./nats-server.ts";
import { findNatsServer } from "./nats-server-binary.ts";
import { removePostgresData, startPostgres } from "./postgres.ts";
import type { ServerChild } from "./server-child.ts";

declare module "vitest" {
  export interface ProvidedContext {
    natsUrl: string;
    natsVersion: string;
    /** Where nats-server is, for tests that start one of their own. */
    natsBinary: string;
    /** A server that can survive a crash: false on the last resort 2.9. */
    natsIsCurrent: boolean;
    /** A superuser's URL; tests make databases of their own. */
    postgresUrl: string;
  }
}

/** Vitest's global setup: one real nats-server and one real PostgreSQL for all tests of a run. */
export default async function startTestServers(project: TestProject): Promise<() => Promise<void>> {
  const log = (line: string): void => void process.stderr.write(`${line}\n`);
  const binary = await findNatsServer({ log });
  const directory = await mkdtemp(join(tmpdir(), "chowhound-test-"));
  const postgresData = join(directory, "postgres");
  const started: ServerChild[] = [];
  const stop = async (): Promise<void> => {
    await Promise.allSettled(started.map((server) => server.stop()));
    await removePostgresData(postgresData);
    await rm(directory, { recursive: true, force: true });
  };
  try {
    // Tests kill services, not the machine: waiting for the disk would only slow them down.
    const nats = await startNatsServer({ binary, dataDir: join(directory, "nats"), syncAlways: false, log });
    started.push(nats);
    const postgres = await startPostgres({
      dataDir: postgresData,
      settings: { fsync: "off", max_connections: "200" },
      log,
    });
    started.push(postgres);
    project.provide("natsUrl", nats.url);
    project.provide("natsVersion", binary.version);
    project.provide("natsBinary", binary.path);
    project.provide("natsIsCurrent", binary.crashSafe);
    project.provide("postgresUrl", postgres.url);
  } catch (error) {
    await stop();
    throw error;
  }
  return stop;
}
