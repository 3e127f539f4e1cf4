import { type ServerSpan, startServerSpan } from "@chowhound/shared/telemetry/server-span";
import { formatTraceparent, parseTraceparent } from "@chowhound/shared/telemetry/traceparent";
import type { CallHead } from "./ingestor.ts";
import { readTraceContext, type TraceContext } from "./trace-context.ts";

/** How a call is traced. */
export interface CallTrace {
  /** What its records and its receipt keep: the caller's context, or the gateway's where it traces on its own. */
  context: TraceContext;
  /** Undefined where the call isn't sampled. */
  span: ServerSpan | undefined;
}

export function startCallTrace({ rpc, traceparent, tracestate }: CallHead): CallTrace {
  const context = readTraceContext(traceparent, tracestate);
  const span = startServerSpan(rpc, parseTraceparent(context.traceparent, context.tracestate));
  if (span === undefined || context.traceId !== "") return { context, span };
  const { traceId } = span.context;
  return { context: { traceparent: formatTraceparent(span.context), tracestate: "", traceId }, span };
}
