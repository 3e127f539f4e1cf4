import { join } from "node:path";
import { ensureDatabase } from "./create-database.ts";
import { findFreePort } from "./free-port.ts";
import { ensureLocalKey, localTenant } from "./local-key.ts";
import { MeshProcess } from "./mesh-process.ts";
import { createMeshService, SERVICES, type ServiceName } from "./mesh-service.ts";
import { type NatsServer, startNatsServer } from "./nats-server.ts";
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
}

export interface MeshOptions {
  /** For this mesh alone: streams, database, keys, logs. Started again on it, the mesh has its data again. */
  dataDir: string;
  ports?: MeshPorts;
  /** How many processes of a service; 1 by default. */
  replicas?: Partial<Record<ServiceName, number>>;
  /** Settings (CHOWHOUND_…) of a service beyond or instead of those that connect the mesh. */
  env?: Partial<Record<ServiceName, Readonly<Record<string, string>>>>;
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
  natsUrl: string;
  /** A superuser's URL of the database that the store writes to. */
  postgresUrl: string;
  /** The admin port of each service process by its name. */
  admin: Record<string, string>;
  tenant: string;
  /** The tenant's key, sent as `authorization: Bearer <key>`. */
  key: string;
}

const host = "127.0.0.1";

/** The processes of a mesh, not started yet, and how they find each other. */
export async function createMeshParts(options: MeshOptions): Promise<{
  processes: MeshProcess[];
  endpoints: () => MeshEndpoints;
  keysFile: string;
}> {
  const { dataDir, durable = true, signal, log } = options;
  const { file: keysFile, key } = await ensureLocalKey(dataDir);
  const binary = await findNatsServer({ signal, log });
  const natsPort = await choosePort(options.ports?.nats);
  const postgresPort = await choosePort(options.ports?.postgres);
  let natsServer: NatsServer | undefined;
  let postgresServer: Postgres | undefined;
  let databaseUrl = "";

  const nats = new MeshProcess({
    name: "nats",
    ports: { main: natsPort },
    logFile: join(dataDir, "nats", "nats-server.log"),
    spawn: async (stopping) => {
      natsServer = await startNatsServer({
        binary,
        dataDir: join(dataDir, "nats"),
        port: natsPort,
        syncAlways: durable,
        signal: stopping,
        log,
      });
      return natsServer;
    },
  });
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
      CHOWHOUND_KEYS_FILE: keysFile,
      CHOWHOUND_GRPC_HOST: host,
      CHOWHOUND_GRPC_PORT: String(ports.grpc),
      CHOWHOUND_HTTP_HOST: host,
      CHOWHOUND_HTTP_PORT: String(ports.http),
    }),
    enricher: () => ({}),
    dedup: ({ name }) => ({ CHOWHOUND_DEDUP_DATA_DIR: join(dataDir, name) }),
    store: () => ({ CHOWHOUND_DATABASE_URL: databaseUrl }),
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
      };
      const env = () => ({
        CHOWHOUND_NATS_URL: natsServer?.url ?? "",
        ...settings[service]({ name, ports }),
        ...options.env?.[service],
      });
      services.push(createMeshService({ service, name, ports, dataDir, env, log }));
    }
  }

  const endpoints = (): MeshEndpoints => {
    const gateway = services[0]!.ports;
    return {
      grpc: `${host}:${gateway.grpc}`,
      http: `http://${host}:${gateway.http}`,
      natsUrl: natsServer?.url ?? "",
      postgresUrl: databaseUrl,
      admin: Object.fromEntries(services.map(({ name, ports }) => [name, `${host}:${ports.admin}`])),
      tenant: localTenant,
      key,
    };
  };
  return { processes: [nats, postgres, ...services], endpoints, keysFile };
}

async function choosePort(port: number | undefined): Promise<number> {
  return port || findFreePort(host);
}
