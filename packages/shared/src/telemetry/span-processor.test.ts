import { InMemorySpanExporter, type SpanExporter, TracerProvider } from "@opentelemetry/sdk-trace";
import { expect, test } from "vitest";
import { Meter } from "./meter.ts";
import { createBatchProcessor } from "./span-processor.ts";

/** As ExportResultCode of @opentelemetry/core. */
const FAILED = 1;

async function lostOf(exporter: SpanExporter, spans: number, env: Record<string, string> = {}) {
  const meter = new Meter("store");
  const processor = createBatchProcessor(exporter, meter, env);
  const tracer = new TracerProvider({ spanProcessors: [processor] }).getTracer("test");
  for (let i = 0; i < spans; i++) tracer.startSpan(`${i}`).end();
  await processor.forceFlush().catch(() => {});
  return {
    queue_full: meter.total("chowhound.spans.lost", { "chowhound.reason": "queue_full" }),
    not_sent: meter.total("chowhound.spans.lost", { "chowhound.reason": "not_sent" }),
  };
}

test("has room for the spans that a group of batches ends at once", async () => {
  const exporter = new InMemorySpanExporter();
  expect(await lostOf(exporter, 10_000)).toEqual({ queue_full: 0, not_sent: 0 });
  expect(exporter.getFinishedSpans()).toHaveLength(10_000);
});

test("counts spans that find the queue full", async () => {
  const env = { OTEL_BSP_MAX_QUEUE_SIZE: "3", OTEL_BSP_MAX_EXPORT_BATCH_SIZE: "3" };
  // Three are on their way, three wait.
  const slow: SpanExporter = { export: () => {}, shutdown: async () => {} };
  const lost = lostOf(slow, 10, { ...env, OTEL_BSP_EXPORT_TIMEOUT: "10" });
  expect(await lost).toEqual({ queue_full: 4, not_sent: 0 });
});

test("counts spans that could not be sent", async () => {
  const failing: SpanExporter = {
    export: (_, done) => done({ code: FAILED, error: new Error("refused") }),
    shutdown: async () => {},
  };
  expect(await lostOf(failing, 5)).toEqual({ queue_full: 0, not_sent: 5 });
});
