import { join } from "node:path";
import { ensureDatabase } from "./create-database.ts";
import { findFreePort } from "./free-port.ts";
import { ensureLocalKey, localTenant } from "./local-key.ts";
import { MeshProcess } from "./mesh-process.ts";
import { createMeshService, SERVICES, type ServiceName } from "./mesh-service.ts";
import { nodeOptions, planNatsCluster } from "./nats-cluster.ts";
import { startNatsServer } from "./nats-server.ts";
import { findNatsServer } from "./nats-server-binary.ts";
import { type Postgres, startPostgres } from "./postgres.ts";

/** Ports of the first replica of each service; without one, or with 0, a free one is taken. */
export interface MeshPorts {
  grpc?: number | undefined;
  http?: number | undefined;
  nats?: number | undefined;
  postgres?: number | undefined;
  gatewayAdmin?: number | undefined;
  enricherAdmin?: number | undefined;
  dedupAdmin?: number | undefined;
  storeAdmin?: number | undefined;
  gatewayMetrics?: number | undefined;
  enricherMetrics?: number | undefined;
  dedupMetrics?: number | undefined;
  storeMetrics?: number | undefined;
}

export interface MeshOptions {
  /** For this mesh alone: streams, database, keys, logs. Started again on it, the mesh has its data again. */
  dataDir: string;
  ports?: MeshPorts;
  /** How many processes of a service; 1 by default. */
  replicas?: Partial<Record<ServiceName, number>>;
  /** A cluster of so many NATS servers: "nats", "nats-2", … Without it there is one, and no cluster. */
  natsServers?: number;
  /** Settings (CHOWHOUND_…) of a service beyond or instead of those that connect the mesh. */
  env?: Partial<Record<ServiceName, Readonly<Record<string, string>>>>;
  /** True: each service process shows its metrics on a port of its own; `endpoints.metrics` says where. */
  metrics?: boolean;
  /**
   * The port at which a process finds a server process that listens on `port`; by default that very port. For fault tests, which put
   * something in between. Asked before the process starts.
   */
  route?: (process: string, server: string, port: number) => number;
  /** The root of the checkout that a service process runs from, if not this one; asked for at each start. For tests of old software beside new. */
  software?: (process: string) => string | undefined;
  /** False: waits for no disk. For tests that kill processes but not the machine. */
  durable?: boolean;
  /** Aborted: the start is given up, and what was started is stopped. */
  signal?: AbortSignal;
  log: (line: string) => void;
}

/** How to reach a mesh. */
export interface MeshEndpoints {
  /** The gateway's doors, such as "127.0.0.1:24690" and "http://127.0.0.1:24691". */
  grpc: string;
  http: string;
  /** The first server of NATS. */
  natsUrl: string;
  /** Of a cluster all, else that one. */
  natsUrls: readonly string[];
  /** A superuser's URL of the database that the store writes to. */
  postgresUrl: string;
  /** The admin port of each service process by its name. */
  admin: Record<string, string>;
  /** Where each service process shows its metrics, such as "http://127.0.0.1:24700/metrics"; empty unless asked for. */
  metrics: Record<string, string>;
  tenant: string;
  /** The tenant's key, sent as `authorization: Bearer <key>`. */
  key: string;
}

const host = "127.0.0.1";

/** The processes of a mesh, not started yet, and how they find each other. */
export async function createMeshParts(options: MeshOptions): Promise<{
  /** The servers of NATS. */
  nats: MeshProcess[];
  postgres: MeshProcess;
  services: MeshProcess[];
  endpoints: () => MeshEndpoints;
  keysFile: string;
}> {
  const { dataDir, durable = true, route = (_process, _server, port) => port, signal, log } = options;
  const { file: keysFile, key } = await ensureLocalKey(dataDir);
  const binary = await findNatsServer({ signal, log });
  const nodes = await planNatsCluster(options.natsServers ?? 1);
  if (options.ports?.nats) nodes[0]!.port = options.ports.nats;
  const postgresPort = await choosePort(options.ports?.postgres);
  let postgresServer: Postgres | undefined;
  let databaseUrl = "";

  const nats = nodes.map((node) => {
    const { name } = node;
    const { port, monitorPort, cluster } = nodeOptions(node, nodes, (peer) =>
      route(name, peer.name, peer.routePort),
    );
    return new MeshProcess({
      name,
      ports: { main: port, monitor: monitorPort },
      logFile: join(dataDir, name, "nats-server.log"),
      spawn: (stopping) =>
        startNatsServer({
          binary,
          dataDir: join(dataDir, name),
          port,
          monitorPort,
          ...(nodes.length > 1 && { cluster }),
          syncAlways: durable,
          signal: stopping,
          log,
        }),
    });
  });
  const natsUrls = (process: string): string =>
    nats.map(({ name, ports }) => `nats://${host}:${route(process, name, ports.main!)}`).join(",");
  const postgres = new MeshProcess({
    name: "postgres",
    ports: { main: postgresPort },
    logFile: join(dataDir, "postgres", "postgres.log"),
    spawn: async (stopping) => {
      const settings: Record<string, string> = durable ? {} : { fsync: "off" };
      postgresServer = await startPostgres({
        dataDir: join(dataDir, "postgres"),
        port: postgresPort,
        settings,
        signal: stopping,
        log,
      });
      try {
        databaseUrl = await ensureDatabase(postgresServer.url, "chowhound");
      } catch (error) {
        await postgresServer.stop();
        throw error;
      }
      return postgresServer;
    },
  });

  const settings: Record<
    ServiceName,
    (process: { name: string; ports: Record<string, number> }) => Record<string, string>
  > = {
    gateway: ({ ports }) => ({
      CHOWHOUND_NATS_MONITOR_URL: nats.map(({ ports }) => `http://${host}:${ports.monitor}`).join(","),
      CHOWHOUND_KEYS_FILE: keysFile,
      CHOWHOUND_GRPC_HOST: host,
      CHOWHOUND_GRPC_PORT: String(ports.grpc),
      CHOWHOUND_HTTP_HOST: host,
      CHOWHOUND_HTTP_PORT: String(ports.http),
    }),
    enricher: () => ({}),
    dedup: ({ name }) => ({ CHOWHOUND_DEDUP_DATA_DIR: join(dataDir, name) }),
    store: ({ name }) => ({
      CHOWHOUND_DATABASE_URL: withPort(databaseUrl, route(name, "postgres", postgresPort)),
    }),
  };
  const services: MeshProcess[] = [];
  for (const service of SERVICES) {
    for (let replica = 1; replica <= (options.replicas?.[service] ?? 1); replica++) {
      const fixed: MeshPorts = replica === 1 ? (options.ports ?? {}) : {};
      const name = replica === 1 ? service : `${service}-${replica}`;
      const ports = {
        admin: await choosePort(fixed[`${service}Admin`]),
        ...(service === "gateway" && {
          grpc: await choosePort(fixed.grpc),
          http: await choosePort(fixed.http),
        }),
        ...(options.metrics === true && { metrics: await choosePort(fixed[`${service}Metrics`]) }),
      };
      const env = () => ({
        CHOWHOUND_NATS_URL: natsUrls(name),
        ...(nats.length > 1 && { CHOWHOUND_STREAM_REPLICAS: String(Math.min(nats.length, 3)) }),
        ...(ports.metrics !== undefined && {
          CHOWHOUND_METRICS_HOST: host,
          CHOWHOUND_METRICS_PORT: String(ports.metrics),
        }),
        ...settings[service]({ name, ports }),
        ...options.env?.[service],
      });
      services.push(
        createMeshService({ service, name, root: () => options.software?.(name), ports, dataDir, env, log }),
      );
    }
  }

  const endpoints = (): MeshEndpoints => {
    const gateway = services[0]!.ports;
    return {
      grpc: `${host}:${gateway.grpc}`,
      http: `http://${host}:${gateway.http}`,
      natsUrl: `nats://${host}:${nats[0]!.ports.main}`,
      natsUrls: nats.map(({ ports }) => `nats://${host}:${ports.main}`),
      postgresUrl: databaseUrl,
      admin: Object.fromEntries(services.map(({ name, ports }) => [name, `${host}:${ports.admin}`])),
      metrics: Object.fromEntries(
        services
          .filter(({ ports }) => ports.metrics !== undefined)
          .map(({ name, ports }) => [name, `http://${host}:${ports.metrics}/metrics`]),
      ),
      tenant: localTenant,
      key,
    };
  };
  return { nats, postgres, services, endpoints, keysFile };
}

function withPort(url: string, port: number): string {
  if (url === "") return "";
  const moved = new URL(url);
  moved.port = String(port);
  return moved.href;
}

async function choosePort(port: number | undefined): Promise<number> {
  return port || findFreePort(host);
}
