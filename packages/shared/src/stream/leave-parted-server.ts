import { jetstreamManager } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/transport-node";
import { pause } from "../runtime/backoff.ts";
import type { Logger } from "../runtime/logger.ts";

const LOOK_MS = 2_000;
/** In a row; more than an election of a new leader takes. */
const MAX_FAILURES = 5;

/**
 * A server of a cluster that is cut off from the majority answers its clients as ever, but what they want of JetStream is
 * lost on it. Goes on to another server then. Ends when `signal` is aborted.
 *
 * @param lookMs how long to wait for an answer, and then for the next question
 */
export async function leavePartedServer(
  nc: NatsConnection,
  { log, signal, lookMs = LOOK_MS }: { log: Logger; signal: AbortSignal; lookMs?: number },
): Promise<void> {
  const jsm = await jetstreamManager(nc, { checkAPI: false, timeout: lookMs });
  let failures = 0;
  while ((await pause(lookMs, signal)) && !nc.isClosed()) {
    if (nc.info?.cluster === undefined) continue;
    failures = await jsm.getAccountInfo().then(
      () => 0,
      () => failures + 1,
    );
    if (failures < MAX_FAILURES || signal.aborted) continue;
    failures = 0;
    log.warn({ server: nc.getServer() }, "this server can't reach JetStream: trying another");
    await nc.reconnect().catch(() => {});
  }
}
