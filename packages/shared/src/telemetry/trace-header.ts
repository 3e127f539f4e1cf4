import { isSpanContextValid, type SpanContext } from "@opentelemetry/api";
import { isSampled } from "./traceparent.ts";

export type { SpanContext };

/** Spans by the index of their call in the batch. */
export type CallContexts = ReadonlyMap<number, SpanContext>;

/**
 * The message header that hands the spans of a batch's sampled calls to the next stage: an entry of `ENTRY_CHARS` for each.
 * A batch without a sampled call has none.
 *
 * @param place of the batch in its message
 */
export function traceHeaderName(place: number): string {
  return place === 0 ? "chow-trace" : `chow-trace-${place}`;
}

/** An entry: the call's index (2 bytes), trace id (16), span id (8), flags (1). In base64url it ends where a character does. */
const ENTRY = { index: 0, traceId: 2, spanId: 18, flags: 26, bytes: 27 } as const;
const ENTRY_CHARS = 36;

/**
 * Calls of one batch that can be followed: JetStream takes headers of 65,535 bytes. A gateway sends a batch before more
 * sampled calls are in it.
 */
export const MAX_TRACED_CALLS = 1_500;

/** What the header takes in a message beside its value: its name, the version line, line ends. */
const FRAME_BYTES = 64;

/** What the header takes in a message, at most, whichever of so many calls are sampled. It is as large on every hop. */
export function traceHeaderBytes(calls: number): number {
  return FRAME_BYTES + Math.min(calls, MAX_TRACED_CALLS) * ENTRY_CHARS;
}

/** The header's value; undefined where there is nothing to say or no room for it. What doesn't fit is left out. */
export function encodeTraceHeader(contexts: CallContexts, maxBytes: number): string | undefined {
  const room = Math.max(0, Math.floor((maxBytes - FRAME_BYTES) / ENTRY_CHARS));
  const count = Math.min(contexts.size, MAX_TRACED_CALLS, room);
  if (count === 0) return undefined;
  const entries = Buffer.alloc(count * ENTRY.bytes);
  let at = 0;
  for (const [call, { traceId, spanId, traceFlags }] of contexts) {
    if (at === entries.length) break;
    entries.writeUInt16BE(call, at + ENTRY.index);
    entries.write(traceId, at + ENTRY.traceId, "hex");
    entries.write(spanId, at + ENTRY.spanId, "hex");
    entries.writeUInt8(traceFlags, at + ENTRY.flags);
    at += ENTRY.bytes;
  }
  return entries.toString("base64url");
}

/** The sampled calls' spans. Entries that aren't well formed are skipped: a header never harms its batch. */
export function decodeTraceHeader(value: string): CallContexts {
  const contexts = new Map<number, SpanContext>();
  const end = Math.min(value.length, MAX_TRACED_CALLS * ENTRY_CHARS);
  for (let at = 0; at < end; at += ENTRY_CHARS) {
    // Each on its own: a character that is none of base64's is left out, and would shift what follows.
    const entry = Buffer.from(value.slice(at, at + ENTRY_CHARS), "base64url");
    if (entry.length !== ENTRY.bytes) continue;
    const context: SpanContext = {
      traceId: entry.toString("hex", ENTRY.traceId, ENTRY.spanId),
      spanId: entry.toString("hex", ENTRY.spanId, ENTRY.flags),
      traceFlags: entry.readUInt8(ENTRY.flags),
      isRemote: true,
    };
    if (isSpanContextValid(context) && isSampled(context))
      contexts.set(entry.readUInt16BE(ENTRY.index), context);
  }
  return contexts;
}
