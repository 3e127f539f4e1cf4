import { setTimeout as sleep } from "node:timers/promises";
import type { telemetrySettings } from "../runtime/common-settings.ts";
import type { ConfigOf } from "../runtime/config.ts";
import type { Logger } from "../runtime/logger.ts";
import type { Meter } from "./meter.ts";
import type { ProcessIdentity } from "./node-sdk.ts";

export interface Telemetry {
  /** Sends what has not been sent yet, for a moment at most: an absent collector holds nothing up. Never rejects. */
  stop(): Promise<void>;
}

const STOP_MS = 2_000;
const OFF: Telemetry = { stop: async () => {} };

/** Starts tracing and the export of metrics where they are configured. Where they aren't, no SDK is even loaded. */
export async function startTelemetry(
  config: ConfigOf<typeof telemetrySettings>,
  { identity, meter, log }: { identity: ProcessIdentity; meter: Meter; log: Logger },
): Promise<Telemetry> {
  const { otlpEndpoint, otlpTracesEndpoint, otlpMetricsEndpoint, metricsExporter, metricsHost, metricsPort } =
    config;
  const tracesEndpoint = otlpTracesEndpoint || otlpEndpoint;
  const metricsEndpoint = metricsExporter === "none" ? "" : otlpMetricsEndpoint || otlpEndpoint;
  if (tracesEndpoint === "" && metricsEndpoint === "" && metricsPort === "off") return OFF;

  const [{ startNodeSdk }, { createOtlpReader, openPrometheusEndpoint }, { createSpanProcessor }] =
    await Promise.all([
      import("./node-sdk.ts"),
      import("./metric-readers.ts"),
      import("./span-processor.ts"),
    ]);
  const prometheus =
    metricsPort === "off"
      ? undefined
      : await openPrometheusEndpoint(meter, { host: metricsHost, port: metricsPort });
  const otlpReader = metricsEndpoint === "" ? undefined : await createOtlpReader(meter, process.env);
  const { traceRatio } = config;
  const traces =
    tracesEndpoint === ""
      ? undefined
      : { ratio: traceRatio, spanProcessor: await createSpanProcessor(meter, process.env) };
  const sdk = startNodeSdk({
    identity,
    traces,
    metricReaders: [prometheus?.reader, otlpReader].filter((reader) => reader !== undefined),
    log,
  });
  if (traces !== undefined) log.info({ endpoint: new URL(tracesEndpoint).host, traceRatio }, "tracing");
  if (otlpReader !== undefined) log.info({ endpoint: new URL(metricsEndpoint).host }, "sending metrics");
  if (prometheus !== undefined) log.info({ url: prometheus.url }, "showing metrics");
  return {
    stop: async () => {
      prometheus?.close();
      const stopped = sdk.shutdown().then(
        () => true,
        () => false,
      );
      const isComplete = await Promise.race([stopped, sleep(STOP_MS, false, { ref: false })]);
      if (!isComplete) log.warn("the last spans and metrics could not be sent");
    },
  };
}
