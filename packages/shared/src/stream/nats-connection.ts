import { connect, type NatsConnection } from "@nats-io/transport-node";
import { retryUntil } from "../runtime/backoff.ts";
import type { Logger } from "../runtime/logger.ts";
import type { ServiceStatus } from "../runtime/service-status.ts";

/**
 * Connects to NATS, waiting for it as long as it takes, and stays connected. The dependency "nats" of the status
 * follows the connection. Rejects once `signal` is aborted.
 */
export async function connectNats(options: {
  url: string;
  /** Shown by the server's monitoring. */
  name: string;
  log: Logger;
  status: ServiceStatus;
  signal: AbortSignal;
}): Promise<NatsConnection> {
  const { log, signal } = options;
  const dependency = options.status.dependency("nats");
  const server = new URL(options.url);
  const nc = await retryUntil(
    () =>
      connect({
        servers: server.host,
        ...(server.username === ""
          ? {}
          : { user: decodeURIComponent(server.username), pass: decodeURIComponent(server.password) }),
        ...(server.protocol === "tls:" ? { tls: {} } : {}),
        name: options.name,
        maxReconnectAttempts: -1,
        // A server that comes back with other passwords for a while must not end the connection for good.
        ignoreAuthErrorAbort: true,
        reconnectTimeWait: 250,
        reconnectJitter: 250,
        pingInterval: 5_000,
        maxPingOut: 2,
        timeout: 5_000,
        ignoreClusterUpdates: false,
      }),
    {
      signal,
      onFailure: (error, retryInMs) => {
        const why = (error as Error).message;
        dependency.down(why);
        log.warn({ server: server.host, why, retryInMs }, "waiting for NATS");
      },
    },
  );
  dependency.up();
  log.info({ server: server.host, serverVersion: nc.info?.version }, "connected to NATS");
  void followStatus(nc, log, dependency);
  return nc;
}

async function followStatus(
  nc: NatsConnection,
  log: Logger,
  dependency: { up(): void; down(why: string): void },
): Promise<void> {
  for await (const event of nc.status()) {
    if (event.type === "disconnect") {
      dependency.down("connection lost");
      log.warn({ server: event.server }, "lost NATS, reconnecting");
    } else if (event.type === "reconnect") {
      dependency.up();
      log.info({ server: event.server }, "reconnected to NATS");
    } else if (event.type === "slowConsumer" || event.type === "error") {
      log.warn({ event }, "NATS client event");
    }
  }
}
