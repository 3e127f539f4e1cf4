import {
  duration,
  integer,
  matching,
  oneOf,
  port,
  portOrOff,
  ratio,
  size,
  text,
  url,
  urls,
} from "./config.ts";
import { LOG_LEVELS } from "./logger.ts";

const otlpEndpoint = (env: string, doc: string) =>
  url(env, ["http:", "https:"], { doc, fallback: "", secret: true });

/**
 * What is traced and counted, and where it goes; OpenTelemetry's other variables work too (docs/tracing.md,
 * docs/metrics.md).
 */
export const telemetrySettings = {
  otlpEndpoint: otlpEndpoint(
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "the OTLP collector that spans and metrics are sent to; empty: none are",
  ),
  otlpTracesEndpoint: otlpEndpoint(
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "the same with its full path, for spans alone",
  ),
  otlpMetricsEndpoint: otlpEndpoint(
    "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
    "the same with its full path, for metrics alone",
  ),
  metricsExporter: oneOf("OTEL_METRICS_EXPORTER", ["otlp", "none"], {
    doc: "none: metrics are not sent, whatever the endpoints; scraping goes on",
    fallback: "otlp",
  }),
  metricsPort: portOrOff("CHOWHOUND_METRICS_PORT", {
    doc: "where Prometheus can scrape `/metrics`",
    fallback: "off",
  }),
  metricsHost: text("CHOWHOUND_METRICS_HOST", {
    doc: "address of that port; it has no authentication and names tenants, keep it private",
    fallback: "127.0.0.1",
  }),
  metricsTenants: integer("CHOWHOUND_METRICS_TENANTS", 1, 100_000, {
    doc: "how many tenants a process counts each on its own; further ones count together as `_OTHER`",
    fallback: "200",
  }),
  traceRatio: ratio("CHOWHOUND_TRACE_RATIO", {
    doc: "the share that is traced of the calls without a trace context; the others are traced if their context says so",
    fallback: "0.01",
  }),
};

/** Settings that every service has. */
export const processSettings = {
  ...telemetrySettings,
  logLevel: oneOf("CHOWHOUND_LOG_LEVEL", LOG_LEVELS, { doc: "how much is logged", fallback: "info" }),
  adminHost: text("CHOWHOUND_ADMIN_HOST", {
    doc: "address of the admin port (health, reflection, AdminService); it has no authentication, keep it private",
    fallback: "127.0.0.1",
  }),
  adminPort: port("CHOWHOUND_ADMIN_PORT", { doc: "admin port", fallback: "0" }),
  drainTimeoutMs: duration("CHOWHOUND_DRAIN_TIMEOUT", 100, 600_000, {
    doc: "how long SIGTERM waits for what is in flight before the process ends with exit code 1",
    fallback: "20s",
  }),
};

/** Settings of every service that talks to NATS. */
export const natsSettings = {
  natsUrls: urls("CHOWHOUND_NATS_URL", ["nats:", "tls:"], {
    doc: "the NATS server; of a cluster several of its servers, with the same credentials",
    fallback: "nats://127.0.0.1:4222",
    secret: true,
  }),
  natsPrefix: matching("CHOWHOUND_NATS_PREFIX", /^[A-Za-z0-9_-]{1,32}$/, "1 to 32 letters, digits, - and _", {
    doc: "begins the names of streams, subjects and buckets, so that several meshes can share a server",
    fallback: "chowhound",
  }),
  streamMaxBytes: size("CHOWHOUND_STREAM_MAX_BYTES", 16 * 1024 ** 2, 1024 ** 4, {
    doc: "the size of each of the three streams at which it takes no more (keep the sum below 80% of JetStream's storage)",
    fallback: "1GiB",
  }),
  streamReplicas: oneOf("CHOWHOUND_STREAM_REPLICAS", ["1", "3", "5"], {
    doc: "copies of each stream in a NATS cluster",
    fallback: "1",
  }),
};

/** Settings of the services that work off a stream. */
export const stageSettings = {
  ackWaitMs: duration("CHOWHOUND_ACK_WAIT", 1000, 600_000, {
    doc: "how long JetStream waits for a batch to be acknowledged or reported in progress before it delivers it again",
    fallback: "30s",
  }),
};
