import { getJson } from "./poll.ts";

export interface Span {
  service: string;
  name: string;
  traceId: string;
  /** Empty for the first of a trace. */
  parentSpanId: string;
}

/** OTLP as JSON, as far as it is looked at here. */
interface Answer {
  result: {
    resourceSpans: {
      resource: { attributes: { key: string; value: { stringValue?: string } }[] };
      scopeSpans: { spans: { name: string; traceId: string; parentSpanId?: string }[] }[];
    }[];
  };
}

/** Jaeger, through the API that its pages use. */
export interface Jaeger {
  /** The spans of a trace. Throws where there is none of this id. */
  trace(traceId: string): Promise<Span[]>;
  /** The spans of the latest traces that a service had a part in. */
  search(service: string): Promise<Span[]>;
}

const searchedMs = 3_600_000;
const mostTraces = 20;

export function createJaeger(port: number): Jaeger {
  const url = (path: string): URL => new URL(`http://127.0.0.1:${port}/api/v3/${path}`);
  return {
    trace: async (traceId) => spansOf(await getJson<Answer>(url(`traces/${traceId}`))),
    async search(service) {
      const search = url("traces");
      const now = Date.now();
      search.searchParams.set("query.service_name", service);
      search.searchParams.set("query.start_time_min", new Date(now - searchedMs).toISOString());
      search.searchParams.set("query.start_time_max", new Date(now).toISOString());
      search.searchParams.set("query.num_traces", String(mostTraces));
      return spansOf(await getJson<Answer>(search));
    },
  };
}

function spansOf({ result }: Answer): Span[] {
  return result.resourceSpans.flatMap(({ resource, scopeSpans }) => {
    const service = resource.attributes.find(({ key }) => key === "service.name")?.value.stringValue ?? "";
    return scopeSpans.flatMap(({ spans }) =>
      spans.map(({ name, traceId, parentSpanId = "" }) => ({ service, name, traceId, parentSpanId })),
    );
  });
}
