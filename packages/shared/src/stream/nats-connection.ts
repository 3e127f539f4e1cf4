import type { Socket } from "node:net";
import { connect, type NatsConnection } from "@nats-io/transport-node";
import { DEPENDENCY_BACKOFF, pause, retryUntil } from "../runtime/backoff.ts";
import type { Logger } from "../runtime/logger.ts";
import { NO_ANSWER, probe } from "../runtime/probe.ts";
import type { Dependency, ServiceStatus } from "../runtime/service-status.ts";
import type { Meter } from "../telemetry/meter.ts";
import { leavePartedServer } from "./leave-parted-server.ts";

const ANSWER_MS = 1_000;
const LEAVE_MS = 1_000;
const ANSWER_RETRY_MS = 100;

/**
 * Connects to NATS, waiting for it as long as it takes, and stays connected. The dependency "nats" of the status
 * follows the connection. Rejects once `signal` is aborted.
 */
export async function connectNats(options: {
  /** Servers of one cluster, any of which will do; the first has the credentials for all, and says whether it is TLS. */
  urls: readonly string[];
  /** Shown by the server's monitoring. */
  name: string;
  log: Logger;
  status: ServiceStatus;
  meter: Meter;
  signal: AbortSignal;
}): Promise<NatsConnection> {
  const { log, signal } = options;
  const dependency = options.status.dependency("nats");
  const [first, ...others] = options.urls.map((url) => new URL(url));
  const servers = [first!, ...others].map(({ host }) => host);
  const nc = await retryUntil(
    () =>
      connect({
        servers,
        ...(first!.username === ""
          ? {}
          : { user: decodeURIComponent(first!.username), pass: decodeURIComponent(first!.password) }),
        ...(first!.protocol === "tls:" ? { tls: {} } : {}),
        name: options.name,
        maxReconnectAttempts: -1,
        // A server that comes back with other passwords for a while must not end the connection for good.
        ignoreAuthErrorAbort: true,
        reconnectTimeWait: 250,
        reconnectJitter: 250,
        pingInterval: 5_000,
        maxPingOut: 2,
        timeout: 5_000,
        // Else every publish makes an error with its stack beforehand, in case it fails.
        noAsyncTraces: true,
        ignoreClusterUpdates: false,
      }),
    {
      signal,
      backoff: DEPENDENCY_BACKOFF,
      onFailure: (error, retryInMs) => {
        const why = (error as Error).message;
        dependency.down(why);
        log.warn({ servers, why, retryInMs }, "waiting for NATS");
      },
    },
  );
  dependency.up();
  log.info({ server: nc.getServer(), serverVersion: nc.info?.version }, "connected to NATS");
  void followStatus(nc, { log, dependency, meter: options.meter });
  void followAnswers(nc, log, dependency, signal);
  void leavePartedServer(nc, { log, signal });
  return nc;
}

/** Waits until the server answers. Returns false where `signal` was aborted or the connection closed first. */
export async function untilAnswering(nc: NatsConnection, signal: AbortSignal): Promise<boolean> {
  while (!signal.aborted && !nc.isClosed()) {
    const answer = nc.rtt().then(
      () => true,
      () => false,
    );
    if (await Promise.race([answer, pause(ANSWER_MS, signal).then(() => false)])) return true;
    await pause(ANSWER_RETRY_MS, signal);
  }
  return false;
}

/** A server that is frozen, or cut off without a goodbye, keeps its connection for a while: only asking shows it. */
async function followAnswers(
  nc: NatsConnection,
  log: Logger,
  dependency: Dependency,
  signal: AbortSignal,
): Promise<void> {
  let isSilent = false;
  const report = (why: string | undefined): void => {
    if (why === undefined) dependency.up();
    else dependency.down(why);
    // What else may be wrong, followStatus tells.
    if (why === NO_ANSWER && !isSilent) log.warn("NATS doesn't answer");
    if (why === undefined && isSilent) log.info("NATS answers again");
    isSilent = why === NO_ANSWER;
  };
  await probe(() => nc.rtt(), report, signal);
}

async function followStatus(
  nc: NatsConnection,
  { log, dependency, meter }: { log: Logger; dependency: Dependency; meter: Meter },
): Promise<void> {
  for await (const event of nc.status()) {
    if (event.type === "staleConnection" || event.type === "forceReconnect") cutSoon(nc);
    if (event.type === "disconnect") {
      dependency.down("connection lost");
      log.warn({ server: event.server }, "lost NATS, reconnecting");
    } else if (event.type === "reconnect") {
      dependency.up();
      meter.count("chowhound.nats.reconnects", 1);
      log.info({ server: event.server }, "reconnected to NATS");
    } else if (event.type === "slowConsumer" || event.type === "error") {
      log.warn({ event }, "NATS client event");
    }
  }
}

/**
 * The library lets go of a connection once all that it has written has left. With more than a buffer of it unsent, to a server that takes
 * nothing any more, that is never, and it would go on writing into it. The transport isn't in its types.
 */
function cutSoon(nc: NatsConnection): void {
  const { transport } = (nc as unknown as { protocol: { transport: { socket?: Socket } } }).protocol;
  setTimeout(() => transport.socket?.destroy(), LEAVE_MS).unref();
}
