import type { Attributes } from "@opentelemetry/api";

/** OpenTelemetry's messaging conventions are not stable yet, so their names are kept here and not imported. */
export const ATTR_BATCH_MESSAGE_COUNT = "messaging.batch.message_count";

/** A message that is sent to a stream or worked off it. */
export function messagingAttributes(operation: "send" | "process", stream: string): Attributes {
  return {
    "messaging.system": "nats",
    "messaging.destination.name": stream,
    "messaging.operation.name": operation,
    "messaging.operation.type": operation,
  };
}
