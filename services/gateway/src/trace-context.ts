import { parseTraceparent } from "@chowhound/shared/telemetry/traceparent";

/** The W3C trace context of a call as it travels on the batch; empty strings where the caller sent none. */
export interface TraceContext {
  traceparent: string;
  tracestate: string;
  /** 32 hexadecimal digits. */
  traceId: string;
}

const NONE: TraceContext = { traceparent: "", tracestate: "", traceId: "" };
const MAX_TRACESTATE_BYTES = 512;

/** Reads the trace headers. As W3C wants it, a traceparent that isn't well formed counts as none. */
export function readTraceContext(
  traceparent: string | undefined,
  tracestate: string | undefined,
): TraceContext {
  const parent = traceparent === undefined ? undefined : parseTraceparent(traceparent);
  if (parent === undefined) return NONE;
  const keepsState = tracestate !== undefined && Buffer.byteLength(tracestate) <= MAX_TRACESTATE_BYTES;
  return { traceparent: traceparent!, tracestate: keepsState ? tracestate : "", traceId: parent.traceId };
}
