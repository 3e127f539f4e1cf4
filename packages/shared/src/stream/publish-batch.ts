import { JetStreamApiError, type JetStreamClient } from "@nats-io/jetstream";
import { headers, type MsgHdrs } from "@nats-io/transport-node";
import { type Backoff, backoffMs, pause } from "../runtime/backoff.ts";
import type { Logger } from "../runtime/logger.ts";
import type { Meter } from "../telemetry/meter.ts";
import type { Sending } from "../telemetry/send-trace.ts";

/** JetStream's error codes for a stream that takes no more: maximum bytes, messages, or the account's storage. */
const FULL_CODES = new Set([10077, 10047, 10023, 10028]);

const PUBLISH_TIMEOUT_MS = 5_000;
const BACKOFF: Backoff = { minMs: 50, maxMs: 2_000 };

/** The stream refused a message because it is full; nothing was stored. */
export function isStreamFull(error: unknown): boolean {
  return error instanceof JetStreamApiError && FULL_CODES.has(error.code);
}

/** Why a publish failed, as spans and metrics tell it. */
export function sendFailure(error: unknown): "stream_full" | "not_acknowledged" {
  return isStreamFull(error) ? "stream_full" : "not_acknowledged";
}

/** How a publish is told of. */
export interface PublishTelemetry {
  meter: Meter;
  /** The name of the stream behind the subject. */
  stream: string;
  trace?: Sending | undefined;
}

/** Publishes once and waits for JetStream's acknowledgement. Returns the message's sequence; rejects where none comes. */
export async function publishOnce(
  js: JetStreamClient,
  subject: string,
  bytes: Uint8Array,
  { meter, stream, trace }: PublishTelemetry,
): Promise<number> {
  const options = { timeout: PUBLISH_TIMEOUT_MS, retries: 0 };
  const startedMs = performance.now();
  let sequence: number;
  try {
    const acknowledgement = await js.publish(
      subject,
      bytes,
      trace === undefined ? options : { ...options, headers: toHeaders(trace) },
    );
    sequence = acknowledgement.seq;
  } catch (error) {
    meter.count("chowhound.publish.failures", 1, { "chowhound.reason": sendFailure(error) });
    throw error;
  }
  meter.record("messaging.client.operation.duration", (performance.now() - startedMs) / 1000, {
    "messaging.system": "nats",
    "messaging.operation.name": "send",
    "messaging.destination.name": stream,
  });
  return sequence;
}

function toHeaders(trace: Sending): MsgHdrs {
  const result = headers();
  for (const [name, value] of Object.entries(trace.headers)) result.set(name, value);
  return result;
}

/**
 * Publishes downstream, again and again until JetStream acknowledges: a full stream pushes back this way. A message
 * may come to be stored twice; everything downstream is idempotent. Returns false where `signal` was aborted first.
 */
export async function publishUntilAcknowledged(
  js: JetStreamClient,
  subject: string,
  bytes: Uint8Array,
  { log, signal, ...telemetry }: PublishTelemetry & { log: Logger; signal: AbortSignal },
): Promise<boolean> {
  const { trace } = telemetry;
  for (let attempt = 0; ; attempt++) {
    try {
      await publishOnce(js, subject, bytes, telemetry);
      trace?.end();
      return true;
    } catch (error) {
      const retryInMs = backoffMs(attempt, BACKOFF);
      const why = isStreamFull(error) ? "the stream is full" : (error as Error).message;
      log.warn({ subject, why, retryInMs, ...trace?.logFields }, "publishing failed");
      trace?.attemptFailed(sendFailure(error));
      if (!(await pause(retryInMs, signal))) {
        trace?.end(sendFailure(error));
        return false;
      }
    }
  }
}
