import { randomUUID } from "node:crypto";
import { DiagLogLevel, diag } from "@opentelemetry/api";
import { NodeSDK, resources } from "@opentelemetry/sdk-node";
import {
  ATTR_SERVICE_INSTANCE_ID,
  ATTR_SERVICE_NAME,
  ATTR_SERVICE_VERSION,
} from "@opentelemetry/semantic-conventions";
import type { Logger } from "../runtime/logger.ts";
import { createCallSampler } from "./call-sampler.ts";

/**
 * Starts OpenTelemetry's SDK with nothing but traces. Where they go, and in which form, its own variables say
 * (`OTEL_EXPORTER_OTLP_*`, `OTEL_BSP_*`). Only `start-telemetry.ts` imports this, and only where tracing is on.
 */
export function startNodeSdk(options: {
  service: string;
  version: string;
  traceRatio: number;
  log: Logger;
}): NodeSDK {
  const { service, version, traceRatio, log } = options;
  const report = (message: string): void => log.warn({ why: plainMessage(message) }, "telemetry");
  diag.setLogger(
    { error: report, warn: report, info: () => {}, debug: () => {}, verbose: () => {} },
    DiagLogLevel.WARN,
  );
  const sdk = new NodeSDK({
    resource: resources.defaultResource().merge(
      resources.resourceFromAttributes({
        [ATTR_SERVICE_NAME]: `chowhound-${service}`,
        [ATTR_SERVICE_VERSION]: version,
        [ATTR_SERVICE_INSTANCE_ID]: randomUUID(),
      }),
    ),
    // The environment may add to it or change it; the command line stays out.
    resourceDetectors: [resources.envDetector, resources.hostDetector],
    sampler: createCallSampler(traceRatio),
    textMapPropagator: null,
    instrumentations: [],
    metricReaders: [],
    logRecordProcessors: [],
  });
  sdk.start();
  return sdk;
}

/** The exporters report an error as JSON with its stack; its message is what an operator wants to read. */
function plainMessage(text: string): string {
  try {
    const { message } = JSON.parse(text) as { message?: unknown };
    return typeof message === "string" ? message : text;
  } catch {
    return text;
  }
}
