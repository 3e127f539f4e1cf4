import { JetStreamApiError, type JetStreamClient } from "@nats-io/jetstream";
import { type Backoff, backoffMs, pause } from "../runtime/backoff.ts";
import type { Logger } from "../runtime/logger.ts";

/** JetStream's error codes for a stream that takes no more: maximum bytes, messages, or the account's storage. */
const FULL_CODES = new Set([10077, 10047, 10023, 10028]);

const PUBLISH_TIMEOUT_MS = 5_000;
const BACKOFF: Backoff = { minMs: 50, maxMs: 2_000 };

/** The stream refused a message because it is full; nothing was stored. */
export function isStreamFull(error: unknown): boolean {
  return error instanceof JetStreamApiError && FULL_CODES.has(error.code);
}

/** Publishes once and waits for JetStream's acknowledgement. Rejects where it doesn't come. */
export async function publishOnce(js: JetStreamClient, subject: string, bytes: Uint8Array): Promise<void> {
  await js.publish(subject, bytes, { timeout: PUBLISH_TIMEOUT_MS, retries: 0 });
}

/**
 * Publishes downstream, again and again until JetStream acknowledges: a full stream pushes back this way. A message
 * may come to be stored twice; everything downstream is idempotent. Returns false where `signal` was aborted first.
 */
export async function publishUntilAcknowledged(
  js: JetStreamClient,
  subject: string,
  bytes: Uint8Array,
  { log, signal }: { log: Logger; signal: AbortSignal },
): Promise<boolean> {
  for (let attempt = 0; ; attempt++) {
    try {
      await publishOnce(js, subject, bytes);
      return true;
    } catch (error) {
      const retryInMs = backoffMs(attempt, BACKOFF);
      const why = isStreamFull(error) ? "the stream is full" : (error as Error).message;
      log.warn({ subject, why, retryInMs }, "publishing failed");
      if (!(await pause(retryInMs, signal))) return false;
    }
  }
}
