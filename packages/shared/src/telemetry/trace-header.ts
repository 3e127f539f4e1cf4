import type { SpanContext } from "@opentelemetry/api";
import { formatTraceparent, isSampled, parseTraceparent } from "./traceparent.ts";

export type { SpanContext };

/** Spans by the index of their call in the batch. */
export type CallContexts = ReadonlyMap<number, SpanContext>;

/**
 * The message header that hands the spans of a batch's sampled calls to the next stage:
 * `<call index>=<traceparent>,…`. A message without a sampled call has none.
 */
export const TRACE_HEADER = "chow-trace";

/** Calls of one batch that are followed beyond the gateway; with it the header is below 7 KiB. */
export const MAX_TRACED_CALLS = 100;

/** What the header takes in a message beside its value: its name, the version line, line ends. */
const FRAME_BYTES = 64;

/** The header's value; undefined where there is nothing to say or no room for it. What doesn't fit is left out. */
export function encodeTraceHeader(contexts: CallContexts, maxBytes: number): string | undefined {
  let value = "";
  let count = 0;
  for (const [call, context] of contexts) {
    const entry = `${value === "" ? "" : ","}${call}=${formatTraceparent(context)}`;
    if (count === MAX_TRACED_CALLS || FRAME_BYTES + value.length + entry.length > maxBytes) break;
    value += entry;
    count++;
  }
  return value === "" ? undefined : value;
}

/** The sampled calls' spans. Entries that aren't well formed are skipped: a header never harms its batch. */
export function decodeTraceHeader(value: string): CallContexts {
  const contexts = new Map<number, SpanContext>();
  for (const entry of value.split(",", MAX_TRACED_CALLS)) {
    const [, call, traceparent] = /^(\d{1,7})=(.+)$/.exec(entry) ?? [];
    const context = traceparent === undefined ? undefined : parseTraceparent(traceparent);
    if (context !== undefined && isSampled(context)) contexts.set(Number(call), context);
  }
  return contexts;
}
