import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { gunzipSync } from "node:zlib";

/** A span as it came over the wire, with the service that sent it. */
export interface ReceivedSpan {
  service: string;
  name: string;
  /** As OTLP numbers them: 1 internal, 2 server, 3 client, 4 producer, 5 consumer. */
  kind: number;
  traceId: string;
  spanId: string;
  /** Empty where it is the first of its trace. */
  parentSpanId: string;
  startMs: number;
  endMs: number;
  attributes: Record<string, unknown>;
  events: { name: string; attributes: Record<string, unknown> }[];
  links: { traceId: string; spanId: string }[];
  isError: boolean;
}

/** A metric of one process as it came last. */
export interface ReceivedMetric {
  name: string;
  unit: string;
  points: {
    attributes: Record<string, unknown>;
    /** Of a histogram its count. */
    value: number;
    /** Of a histogram only. */
    sum?: number;
    buckets?: number[];
  }[];
}

/** What one process has said of itself, and its metrics by their names. */
export interface ReceivedMetrics {
  resource: Record<string, unknown>;
  metrics: ReadonlyMap<string, ReceivedMetric>;
}

export interface OtlpReceiver {
  /** For services under test: sends all spans and metrics here, soon. */
  env: Readonly<Record<string, string>>;
  spans: readonly ReceivedSpan[];
  /** The last metrics of each process, by the name of its service. */
  metrics: ReadonlyMap<string, ReceivedMetrics>;
  close(): Promise<void>;
}

// OTLP's JSON form, as far as it is read here.
type Value = { stringValue?: string; intValue?: string | number; doubleValue?: number; boolValue?: boolean };
type Attributes = { key: string; value: Value }[];
interface OtlpSpan {
  name: string;
  kind: number;
  traceId: string;
  spanId: string;
  parentSpanId?: string;
  startTimeUnixNano: string;
  endTimeUnixNano: string;
  attributes?: Attributes;
  events?: { name: string; attributes?: Attributes }[];
  links?: { traceId: string; spanId: string }[];
  status?: { code?: number };
}
interface ExportTraceServiceRequest {
  resourceSpans: { resource: { attributes: Attributes }; scopeSpans: { spans: OtlpSpan[] }[] }[];
}
interface OtlpPoint {
  attributes?: Attributes;
  asDouble?: number;
  asInt?: string | number;
  count?: string | number;
  sum?: number;
  bucketCounts?: (string | number)[];
}
interface OtlpMetric {
  name: string;
  unit?: string;
  sum?: { dataPoints: OtlpPoint[]; isMonotonic: boolean };
  gauge?: { dataPoints: OtlpPoint[] };
  histogram?: { dataPoints: OtlpPoint[] };
}
interface ExportMetricsServiceRequest {
  resourceMetrics: { resource: { attributes: Attributes }; scopeMetrics: { metrics: OtlpMetric[] }[] }[];
}

const STATUS_ERROR = 2;

/** A real OTLP collector for tests: takes spans and metrics as JSON over HTTP and keeps them. */
export async function startOtlpReceiver(): Promise<OtlpReceiver> {
  const spans: ReceivedSpan[] = [];
  const metrics = new Map<string, ReceivedMetrics>();
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk);
    const body = Buffer.concat(chunks);
    const text = request.headers["content-encoding"] === "gzip" ? gunzipSync(body) : body;
    const message = JSON.parse(text.toString());
    if (request.url === "/v1/metrics") keepMetrics(message, metrics);
    else spans.push(...readSpans(message));
    response.writeHead(200, { "content-type": "application/json" }).end("{}");
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    spans,
    metrics,
    env: {
      OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
      OTEL_EXPORTER_OTLP_PROTOCOL: "http/json",
      OTEL_BSP_SCHEDULE_DELAY: "50",
      OTEL_METRIC_EXPORT_INTERVAL: "250",
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function readSpans({ resourceSpans }: ExportTraceServiceRequest): ReceivedSpan[] {
  return resourceSpans.flatMap(({ resource, scopeSpans }) => {
    const service = String(readAttributes(resource.attributes)["service.name"]);
    return scopeSpans.flatMap(({ spans }) => spans.map((span) => readSpan(service, span)));
  });
}

function keepMetrics(
  { resourceMetrics }: ExportMetricsServiceRequest,
  received: Map<string, ReceivedMetrics>,
): void {
  for (const { resource, scopeMetrics } of resourceMetrics) {
    const attributes = readAttributes(resource.attributes);
    const metrics = scopeMetrics.flatMap(({ metrics }) => metrics).map(readMetric);
    received.set(String(attributes["service.name"]), {
      resource: attributes,
      metrics: new Map(metrics.map((metric) => [metric.name, metric])),
    });
  }
}

function readMetric({ name, unit = "", sum, gauge, histogram }: OtlpMetric): ReceivedMetric {
  const { dataPoints } = (sum ?? gauge ?? histogram)!;
  return {
    name,
    unit,
    points: dataPoints.map(({ attributes, asDouble, asInt, count, sum, bucketCounts }) => ({
      attributes: readAttributes(attributes),
      value: Number(asDouble ?? asInt ?? count),
      ...(sum !== undefined && { sum }),
      ...(bucketCounts !== undefined && { buckets: bucketCounts.map(Number) }),
    })),
  };
}

function readSpan(service: string, span: OtlpSpan): ReceivedSpan {
  return {
    service,
    name: span.name,
    kind: span.kind,
    traceId: span.traceId,
    spanId: span.spanId,
    parentSpanId: span.parentSpanId ?? "",
    startMs: Number(span.startTimeUnixNano) / 1e6,
    endMs: Number(span.endTimeUnixNano) / 1e6,
    attributes: readAttributes(span.attributes),
    events: (span.events ?? []).map(({ name, attributes }) => ({
      name,
      attributes: readAttributes(attributes),
    })),
    links: (span.links ?? []).map(({ traceId, spanId }) => ({ traceId, spanId })),
    isError: span.status?.code === STATUS_ERROR,
  };
}

function readAttributes(attributes: Attributes = []): Record<string, unknown> {
  return Object.fromEntries(
    attributes.map(({ key, value: { stringValue, intValue, doubleValue, boolValue } }) => [
      key,
      stringValue ?? (intValue === undefined ? undefined : Number(intValue)) ?? doubleValue ?? boolValue,
    ]),
  );
}
