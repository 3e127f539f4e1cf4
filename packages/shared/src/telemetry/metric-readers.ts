import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { PrometheusExporter } from "@opentelemetry/exporter-prometheus";
import {
  type MetricReader,
  PeriodicExportingMetricReader,
  type PushMetricExporter,
} from "@opentelemetry/sdk-metrics";
import type { Meter } from "./meter.ts";
import { createMetricProducer } from "./metric-producer.ts";
import { otlpProtocol, positiveNumber } from "./otlp-settings.ts";

const INTERVAL_MS = 60_000;
const TIMEOUT_MS = 30_000;

/** Sends the metrics by OTLP, as OpenTelemetry's variables say: where (`OTEL_EXPORTER_OTLP_*`) and how often. */
export async function createOtlpReader(
  meter: Meter,
  env: Readonly<Record<string, string | undefined>>,
): Promise<MetricReader> {
  const exportIntervalMillis = positiveNumber(env, "OTEL_METRIC_EXPORT_INTERVAL") ?? INTERVAL_MS;
  const exportTimeoutMillis = positiveNumber(env, "OTEL_METRIC_EXPORT_TIMEOUT") ?? TIMEOUT_MS;
  return new PeriodicExportingMetricReader({
    exporter: await createOtlpExporter(otlpProtocol(env, "METRICS")),
    exportIntervalMillis,
    exportTimeoutMillis: Math.min(exportTimeoutMillis, exportIntervalMillis),
    metricProducers: [createMetricProducer(meter, "opentelemetry")],
  });
}

/** The exporters read all but the protocol from their variables themselves. */
async function createOtlpExporter(protocol: string): Promise<PushMetricExporter> {
  switch (protocol) {
    case "grpc":
      return new (await import("@opentelemetry/exporter-metrics-otlp-grpc")).OTLPMetricExporter();
    case "http/json":
      return new (await import("@opentelemetry/exporter-metrics-otlp-http")).OTLPMetricExporter();
    default:
      return new (await import("@opentelemetry/exporter-metrics-otlp-proto")).OTLPMetricExporter();
  }
}

/** Metrics for Prometheus to scrape. */
export interface PrometheusEndpoint {
  reader: MetricReader;
  /** Such as "http://127.0.0.1:9464/metrics". */
  url: string;
  close(): void;
}

/** Listens for scrapes of `/metrics`. Rejects where the port is taken. */
export async function openPrometheusEndpoint(
  meter: Meter,
  { host, port }: { host: string; port: number },
): Promise<PrometheusEndpoint> {
  const reader = new PrometheusExporter({
    preventServerStart: true,
    withoutScopeInfo: true,
    metricProducers: [createMetricProducer(meter, "prometheus")],
  });
  const server = createServer((request, response) => {
    const path = request.url?.split("?", 1)[0];
    if (path !== "/metrics") response.writeHead(404).end();
    else if (request.method !== "GET") response.writeHead(405).end();
    else reader.getMetricsRequestHandler(request, response);
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", (error) =>
      reject(
        new Error(
          `cannot listen on ${host}:${port}: ${error.message}; choose another CHOWHOUND_METRICS_PORT`,
          {
            cause: error,
          },
        ),
      ),
    );
    server.listen(port, host, resolve);
  });
  const address = server.address() as AddressInfo;
  const shownHost = address.family === "IPv6" ? `[${address.address}]` : address.address;
  return {
    reader,
    url: `http://${shownHost}:${address.port}/metrics`,
    close: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}
