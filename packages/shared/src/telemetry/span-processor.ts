import { type Attributes, createNoopMeter, type MeterProvider } from "@opentelemetry/api";
import { BatchSpanProcessor, type SpanExporter, type SpanProcessor } from "@opentelemetry/sdk-trace";
import { ATTR_ERROR_TYPE } from "@opentelemetry/semantic-conventions";
import type { Meter } from "./meter.ts";
import { otlpProtocol, positiveNumber } from "./otlp-settings.ts";

/**
 * One batch of sampled calls ends thousands of spans at once: two of each call in the store, and that of several batches in
 * one group. The SDK's own 2,048 would lose some of them, whatever the collector takes.
 */
const MAX_QUEUE_SPANS = 16_384;
/** As the SDK has them. */
const EXPORT = { delayMs: 5_000, timeoutMs: 30_000, spans: 512 };

/** The SDK's own count of spans it is done with, and what it says of those that its queue had no room for. */
const PROCESSED = "otel.sdk.processor.span.processed";
const QUEUE_FULL = "queue_full";

/** Sends spans by OTLP, as OpenTelemetry's variables say (`OTEL_EXPORTER_OTLP_*`, `OTEL_BSP_*`), and counts those that get lost. */
export async function createSpanProcessor(
  meter: Meter,
  env: Readonly<Record<string, string | undefined>>,
): Promise<SpanProcessor> {
  return createBatchProcessor(await createExporter(otlpProtocol(env, "TRACES")), meter, env);
}

export function createBatchProcessor(
  exporter: SpanExporter,
  meter: Meter,
  env: Readonly<Record<string, string | undefined>>,
): SpanProcessor {
  return new BatchSpanProcessor({
    exporter,
    selfObsMeterProvider: countLost(meter),
    maxQueueSize: positiveNumber(env, "OTEL_BSP_MAX_QUEUE_SIZE") ?? MAX_QUEUE_SPANS,
    scheduledDelayMillis: positiveNumber(env, "OTEL_BSP_SCHEDULE_DELAY") ?? EXPORT.delayMs,
    exportTimeoutMillis: positiveNumber(env, "OTEL_BSP_EXPORT_TIMEOUT") ?? EXPORT.timeoutMs,
    maxExportBatchSize: positiveNumber(env, "OTEL_BSP_MAX_EXPORT_BATCH_SIZE") ?? EXPORT.spans,
  });
}

/** The exporters read all but the protocol from their variables themselves. */
async function createExporter(protocol: string): Promise<SpanExporter> {
  switch (protocol) {
    case "grpc":
      return new (await import("@opentelemetry/exporter-trace-otlp-grpc")).OTLPTraceExporter();
    case "http/json":
      return new (await import("@opentelemetry/exporter-trace-otlp-http")).OTLPTraceExporter();
    default:
      return new (await import("@opentelemetry/exporter-trace-otlp-proto")).OTLPTraceExporter();
  }
}

/** What the SDK counts of itself, as far as it is a loss. */
function countLost(meter: Meter): MeterProvider {
  const counter = {
    add: (spans: number, attributes: Attributes = {}): void => {
      const error = attributes[ATTR_ERROR_TYPE];
      if (error !== undefined)
        meter.count("chowhound.spans.lost", spans, {
          "chowhound.reason": error === QUEUE_FULL ? QUEUE_FULL : "not_sent",
        });
    },
  };
  const noop = createNoopMeter();
  const counting = Object.create(noop, {
    createCounter: {
      value: (...given: Parameters<typeof noop.createCounter>) =>
        given[0] === PROCESSED ? counter : noop.createCounter(...given),
    },
  });
  return { getMeter: () => counting };
}
