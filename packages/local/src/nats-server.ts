import { randomBytes } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { join, resolve } from "node:path";
import { onPort, PortInUseError } from "./free-port.ts";
import type { NatsServerBinary } from "./nats-server-binary.ts";
import { isAtLeast } from "./nats-version.ts";
import { type ServerChild, ServerStartError, startServerChild } from "./server-child.ts";

export interface NatsServerOptions {
  binary: Pick<NatsServerBinary, "path" | "version">;
  /** For this server alone; its configuration, log and streams. */
  dataDir: string;
  /** None or 0: a free one. */
  port?: number;
  /** Where it tells about itself over HTTP, to anybody on this machine; nowhere by default. */
  monitorPort?: number;
  host?: string;
  /** Makes it one of a cluster, see `nats-cluster.ts`. */
  cluster?: NatsClusterPlace;
  /** Acknowledge only what is on disk. On by default, where the server can (2.10). */
  syncAlways?: boolean;
  /** The largest message; 8 MiB by default. */
  maxPayloadBytes?: number;
  /** What all streams together may reserve; by default three quarters of the free disk. */
  maxFileStoreBytes?: number;
  /** Aborted: the start is given up. */
  signal?: AbortSignal | undefined;
  log: (line: string) => void;
}

/** A server's place among the others. */
export interface NatsClusterPlace {
  /** The same at each start. */
  serverName: string;
  /** Where it listens for the others, and where they do, on the same host. */
  routePort: number;
  peerPorts: readonly number[];
}

/** A running nats-server with JetStream. */
export interface NatsServer extends ServerChild {
  url: string;
  port: number;
  version: string;
}

/**
 * Starts a nats-server with JetStream on the loopback interface, without authentication, and waits until it is
 * ready. Started again on the same directory it has its streams again, also after a kill.
 *
 * @throws {PortInUseError} @throws {ServerStartError} @throws {DataDirInUseError}
 */
export async function startNatsServer(options: NatsServerOptions): Promise<NatsServer> {
  const { binary, host = "127.0.0.1" } = options;
  const dataDir = resolve(options.dataDir);
  await mkdir(dataDir, { recursive: true });

  return onPort(options.port, host, async (port) => {
    // By its name we know the server that answers from another one that had the port already.
    const serverName = options.cluster?.serverName ?? `chowhound-${randomBytes(6).toString("hex")}`;
    const configFile = join(dataDir, "nats-server.conf");
    await writeFile(configFile, renderConfig({ ...options, dataDir, host, port, serverName }));
    const child = await startServerChild({
      what: "nats-server",
      command: binary.path,
      args: ["--config", configFile],
      spawn: { cwd: dataDir },
      logFile: join(dataDir, "nats-server.log"),
      pidFile: join(dataDir, "nats-server.pid"),
      ...(options.monitorPort !== undefined && {
        ports: [{ what: "nats-server (monitoring)", port: options.monitorPort }],
      }),
      stopSignal: "SIGINT",
      isReady: async () => {
        const info = await readInfo(host, port);
        return info?.server_name === serverName && info.jetstream === true;
      },
      signal: options.signal,
      log: options.log,
    }).catch((error: unknown) => {
      if (error instanceof ServerStartError && /address already in use/i.test(error.logTail)) {
        throw new PortInUseError("nats", port, { cause: error });
      }
      throw error;
    });
    return { ...child, url: `nats://${host}:${port}`, port, version: binary.version };
  });
}

/** The configuration file; nats-server reads JSON, which spares us its own quoting rules. */
export function renderConfig(
  options: Omit<NatsServerOptions, "log" | "signal"> & { host: string; port: number; serverName: string },
): string {
  const { host, maxPayloadBytes = 8 << 20, maxFileStoreBytes, cluster, syncAlways = true } = options;
  const canSyncAlways = isAtLeast(options.binary.version, "2.10");
  const config = {
    server_name: options.serverName,
    host,
    port: options.port,
    ...(options.monitorPort !== undefined && { http: `${host}:${options.monitorPort}` }),
    max_payload: maxPayloadBytes,
    // What the server may hold for one connection before it cuts it off: room for a fetch of large messages.
    max_pending: Math.max(64 << 20, 16 * maxPayloadBytes),
    // A client that is gone without a goodbye is given up within half a minute: until then it gets questions meant for any.
    ping_interval: "10s",
    ping_max: 2,
    jetstream: {
      store_dir: join(options.dataDir, "jetstream"),
      ...(maxFileStoreBytes !== undefined && { max_file_store: maxFileStoreBytes }),
      ...(syncAlways && canSyncAlways && { sync_interval: "always" }),
    },
    ...(cluster !== undefined && {
      cluster: {
        name: "chowhound",
        listen: `${host}:${cluster.routePort}`,
        routes: cluster.peerPorts.map((port) => `nats-route://${host}:${port}`),
        // Clients and servers know all servers, each by the way that is meant for them. What servers tell each other about
        // third ones would open direct ways beside those, so it leads nowhere.
        no_advertise: true,
        advertise: `${host}:1`,
      },
    }),
  };
  return `${JSON.stringify(config, null, 2)}\n`;
}

/** The INFO line a server greets with; undefined if nobody is there or it isn't a nats-server. */
function readInfo(
  host: string,
  port: number,
): Promise<{ server_name?: string; jetstream?: boolean } | undefined> {
  return new Promise((done) => {
    const socket = connect({ host, port, timeout: 2_000 });
    let received = "";
    socket.setEncoding("utf8");
    socket.on("data", (chunk: string) => {
      received += chunk;
      if (received.includes("\r\n")) socket.destroy();
    });
    socket.on("timeout", () => socket.destroy());
    socket.on("error", () => {});
    socket.on("close", () => {
      const line = /^INFO (\{.*\})/.exec(received)?.[1];
      try {
        done(line === undefined ? undefined : JSON.parse(line));
      } catch {
        done(undefined);
      }
    });
  });
}
