import { join } from "node:path";
import { createHealthClient } from "./health-client.ts";
import { MeshProcess } from "./mesh-process.ts";
import { findNode, repositoryRoot } from "./node-binary.ts";
import { startServerChild } from "./server-child.ts";

/** The four services, in the order in which a record passes them. */
export const SERVICES = ["gateway", "enricher", "dedup", "store"] as const;
export type ServiceName = (typeof SERVICES)[number];

/** In MiB, as in deploy/entrypoint.sh; packages/shared/src/runtime/heap-policy.ts says why. */
const YOUNG_GENERATION: Readonly<Record<ServiceName, number>> = {
  gateway: 16,
  enricher: 16,
  dedup: 4,
  store: 16,
};
// Longer than the services give themselves (CHOWHOUND_DRAIN_TIMEOUT): they know best what to say about it.
const stopTimeoutMs = 25_000;
const readyTimeoutMs = 60_000;

/** A service as a process of its own, `node services/<service>/src/main.ts`; ready when its health says SERVING. */
export function createMeshService(options: {
  service: ServiceName;
  name: string;
  /** The checkout that it runs from, undefined: this one; asked for at each start. */
  root: () => string | undefined;
  ports: Readonly<Record<string, number>> & { admin: number };
  dataDir: string;
  /** Its settings; asked for at each start. */
  env: () => Readonly<Record<string, string>>;
  log: (line: string) => void;
}): MeshProcess {
  const { service, name, ports, dataDir } = options;
  const logFile = join(dataDir, "logs", `${name}.log`);
  return new MeshProcess({
    name,
    ports,
    logFile,
    spawn: async (signal) => {
      const health = createHealthClient(`127.0.0.1:${ports.admin}`);
      try {
        return await startServerChild({
          what: name,
          command: findNode(),
          args: [
            `--max-semi-space-size=${YOUNG_GENERATION[service]}`,
            join(options.root() ?? repositoryRoot, "services", service, "src", "main.ts"),
          ],
          spawn: {
            cwd: dataDir,
            env: {
              ...process.env,
              // As in the Dockerfile.
              MALLOC_ARENA_MAX: "1",
              CHOWHOUND_ADMIN_HOST: "127.0.0.1",
              CHOWHOUND_ADMIN_PORT: String(ports.admin),
              ...options.env(),
            },
          },
          logFile,
          pidFile: join(dataDir, "logs", `${name}.pid`),
          stopSignal: "SIGTERM",
          stopTimeoutMs,
          readyTimeoutMs,
          isReady: () => health.isServing(),
          ports: Object.entries(ports).map(([purpose, port]) => ({ what: `${name} (${purpose})`, port })),
          signal,
          log: options.log,
        });
      } finally {
        health.close();
      }
    },
  });
}
