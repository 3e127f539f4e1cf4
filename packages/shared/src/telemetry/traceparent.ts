import { createTraceState, type SpanContext, TraceFlags } from "@opentelemetry/api";

const TRACEPARENT =
  /^(?!ff)[0-9a-f]{2}-(?!0{32})(?<traceId>[0-9a-f]{32})-(?!0{16})(?<spanId>[0-9a-f]{16})-(?<flags>[0-9a-f]{2})$/;

/** The span that a W3C traceparent names, in another process. Undefined where it isn't well formed. */
export function parseTraceparent(traceparent: string, tracestate = ""): SpanContext | undefined {
  const match = TRACEPARENT.exec(traceparent)?.groups;
  if (match === undefined) return undefined;
  return {
    traceId: match.traceId!,
    spanId: match.spanId!,
    traceFlags: Number.parseInt(match.flags!, 16),
    isRemote: true,
    ...(tracestate === "" ? {} : { traceState: createTraceState(tracestate) }),
  };
}

export function formatTraceparent({ traceId, spanId, traceFlags }: SpanContext): string {
  return `00-${traceId}-${spanId}-${traceFlags.toString(16).padStart(2, "0")}`;
}

export function isSampled({ traceFlags }: SpanContext): boolean {
  return (traceFlags & TraceFlags.SAMPLED) !== 0;
}
