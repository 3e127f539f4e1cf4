import { hostname } from "node:os";
import { DiagLogLevel, diag } from "@opentelemetry/api";
import type { MetricReader } from "@opentelemetry/sdk-metrics";
import { NodeSDK, resources } from "@opentelemetry/sdk-node";
import type { SpanProcessor } from "@opentelemetry/sdk-trace";
import {
  ATTR_SERVICE_INSTANCE_ID,
  ATTR_SERVICE_NAME,
  ATTR_SERVICE_VERSION,
} from "@opentelemetry/semantic-conventions";
import type { Logger } from "../runtime/logger.ts";
import { createCallSampler } from "./call-sampler.ts";

/** A process, as what it sends tells of it. */
export interface ProcessIdentity {
  /** Such as "gateway". */
  service: string;
  version: string;
  /** The same that GetStatus shows. */
  instanceId: string;
}

/** A batch links each of its sampled calls, a group of batches all of theirs. Beyond the limit, the SDK lets go of the first. */
const MAX_LINKS = 10_000;

/**
 * Starts OpenTelemetry's SDK with nothing but `traces`, where they are given, and the metrics of `metricReaders`. Only
 * `start-telemetry.ts` imports this, and only where something is exported.
 */
export function startNodeSdk(options: {
  identity: ProcessIdentity;
  /** What is recorded, from 0 to 1, and where it goes. */
  traces: { ratio: number; spanProcessor: SpanProcessor } | undefined;
  metricReaders: MetricReader[];
  log: Logger;
}): NodeSDK {
  const { identity, traces, metricReaders, log } = options;
  const report = (message: string): void => log.warn({ why: plainMessage(message) }, "telemetry");
  diag.setLogger(
    { error: report, warn: report, info: () => {}, debug: () => {}, verbose: () => {} },
    DiagLogLevel.WARN,
  );
  const sdk = new NodeSDK({
    resource: resources.defaultResource().merge(
      resources.resourceFromAttributes({
        [ATTR_SERVICE_NAME]: `chowhound-${identity.service}`,
        [ATTR_SERVICE_VERSION]: identity.version,
        [ATTR_SERVICE_INSTANCE_ID]: identity.instanceId,
        // Not by the SDK's detector: it answers later, and what asks before that is warned.
        "host.name": hostname(),
      }),
    ),
    // The environment may add to it or change it; the command line stays out.
    resourceDetectors: [resources.envDetector],
    spanProcessors: traces === undefined ? [] : [traces.spanProcessor],
    ...(traces !== undefined && { sampler: createCallSampler(traces.ratio) }),
    spanLimits: { linkCountLimit: MAX_LINKS },
    textMapPropagator: null,
    instrumentations: [],
    metricReaders,
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
