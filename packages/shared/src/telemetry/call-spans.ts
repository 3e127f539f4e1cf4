import {
  type Attributes,
  ROOT_CONTEXT,
  type Span,
  type SpanContext,
  type SpanOptions,
  SpanStatusCode,
  type TimeInput,
  trace,
} from "@opentelemetry/api";
import { ATTR_ERROR_TYPE } from "@opentelemetry/semantic-conventions";
import type { CallContexts } from "./trace-header.ts";

/** Makes spans once an SDK is running in this process; until then, spans that do nothing. */
export const tracer = trace.getTracer("chowhound");

/** Starts a span under one of this or another process; without a parent, as the first of a trace. */
export function startSpan(name: string, options: SpanOptions, parent: SpanContext | undefined): Span {
  const context = parent === undefined ? ROOT_CONTEXT : trace.setSpanContext(ROOT_CONTEXT, parent);
  return tracer.startSpan(name, options, context);
}

/** @param reason a stable identifier; messages may hold what is nobody's business */
export function markFailed(span: Span, reason: string): void {
  span.setAttribute(ATTR_ERROR_TYPE, reason);
  span.setStatus({ code: SpanStatusCode.ERROR, message: reason });
}

/** Spans that tell the same of each sampled call of a batch, by the call's index in it. */
export class CallSpans {
  readonly #spans: ReadonlyMap<number, Span>;

  constructor(parents: CallContexts, name: string, options: SpanOptions) {
    this.#spans = new Map(
      Array.from(parents, ([call, parent]) => [call, startSpan(name, options, parent)] as const),
    );
  }

  get contexts(): CallContexts {
    return new Map(Array.from(this.#spans, ([call, span]) => [call, span.spanContext()] as const));
  }

  /** The span of one call; undefined where the call is not sampled. */
  get(call: number): Span | undefined {
    return this.#spans.get(call);
  }

  /** For a log line about what these calls have in common: the trace of one of them. */
  get logFields(): { trace_id?: string } {
    for (const span of this.#spans.values()) return { trace_id: span.spanContext().traceId };
    return {};
  }

  setAttributes(attributes: Attributes): void {
    for (const span of this.#spans.values()) span.setAttributes(attributes);
  }

  addEvent(name: string, attributes: Attributes): void {
    for (const span of this.#spans.values()) span.addEvent(name, attributes);
  }

  fail(reason: string): void {
    for (const span of this.#spans.values()) markFailed(span, reason);
  }

  end(time?: TimeInput): void {
    for (const span of this.#spans.values()) span.end(time);
  }
}
