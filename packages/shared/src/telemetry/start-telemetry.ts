import { setTimeout as sleep } from "node:timers/promises";
import type { telemetrySettings } from "../runtime/common-settings.ts";
import type { ConfigOf } from "../runtime/config.ts";
import type { Logger } from "../runtime/logger.ts";

export interface Telemetry {
  /** Sends what has not been sent yet, for a moment at most: an absent collector holds nothing up. Never rejects. */
  stop(): Promise<void>;
}

const STOP_MS = 2_000;
const OFF: Telemetry = { stop: async () => {} };

/** Starts tracing where it is configured. Where it isn't, no SDK is even loaded. */
export async function startTelemetry(
  { otlpEndpoint, otlpTracesEndpoint, traceRatio }: ConfigOf<typeof telemetrySettings>,
  { service, version, log }: { service: string; version: string; log: Logger },
): Promise<Telemetry> {
  const endpoint = otlpTracesEndpoint || otlpEndpoint;
  if (endpoint === "") return OFF;
  const { startNodeSdk } = await import("./node-sdk.ts");
  const sdk = startNodeSdk({ service, version, traceRatio, log });
  log.info({ endpoint: new URL(endpoint).host, traceRatio }, "tracing");
  return {
    stop: async () => {
      const stopped = sdk.shutdown().then(
        () => true,
        () => false,
      );
      const isComplete = await Promise.race([stopped, sleep(STOP_MS, false, { ref: false })]);
      if (!isComplete) log.warn("the last spans could not be sent");
    },
  };
}
