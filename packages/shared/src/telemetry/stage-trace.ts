import type { RecordBatch } from "@chowhound/shared/contracts/chowhound/internal/v1/record_batch";
import { type Attributes, type Span, type SpanContext, SpanKind } from "@opentelemetry/api";
import { CallSpans, markFailed, startSpan } from "./call-spans.ts";
import { SendTrace } from "./send-trace.ts";
import { ATTR_BATCH_MESSAGE_COUNT, messagingAttributes } from "./span-attributes.ts";
import { type CallContexts, decodeTraceHeader } from "./trace-header.ts";

/**
 * What one stage does with a message that holds sampled calls: a span for each of these calls, in the call's own
 * trace, and one for the batch in a trace of its own, linked to them all.
 */
export class StageTrace {
  readonly #batch: Span;
  readonly #calls: CallSpans;

  constructor(parents: CallContexts, stream: string, attempt: number) {
    const attributes = { ...messagingAttributes("process", stream), "chowhound.delivery_attempt": attempt };
    const links = Array.from(parents.values(), (context) => ({ context }));
    const options = { kind: SpanKind.CONSUMER, attributes };
    this.#batch = startSpan(`process batch ${stream}`, { ...options, links }, undefined);
    this.#calls = new CallSpans(parents, `process ${stream}`, {
      ...options,
      links: [{ context: this.#batch.spanContext() }],
    });
  }

  get callContexts(): readonly SpanContext[] {
    return [...this.#calls.contexts.values()];
  }

  get logFields(): { trace_id?: string } {
    return this.#calls.logFields;
  }

  /** Tells of the batch, once it is decoded. */
  describe(batch: RecordBatch): void {
    const attributes = { "chowhound.batch_id": Buffer.from(batch.batchId).toString("hex") };
    this.#batch.setAttributes({
      ...attributes,
      [ATTR_BATCH_MESSAGE_COUNT]: batch.originals.length,
      "chowhound.batch.calls": batch.calls.length,
    });
    this.#calls.setAttributes(attributes);
    for (const [call, count] of tally(batch.callOf))
      this.#calls.get(call)?.setAttribute("chowhound.records", count);
  }

  /** These records became dead letters; told on the calls that brought them. */
  deadLettered(batch: RecordBatch, labels: readonly { index: number; reason: string }[]): void {
    const byReason = tally(labels.map(({ index, reason }) => `${batch.callOf[index]!} ${reason}`));
    for (const [key, count] of byReason) {
      const [call, reason] = key.split(" ") as [string, string];
      const attributes = { "chowhound.reason": reason, "chowhound.records": count };
      this.#calls.get(Number(call))?.addEvent("records.dead_lettered", attributes);
    }
  }

  setBatchAttributes(attributes: Attributes): void {
    this.#batch.setAttributes(attributes);
  }

  setCallAttributes(attributes: Attributes): void {
    this.#calls.setAttributes(attributes);
  }

  addCallEvent(name: string, attributes: Attributes): void {
    this.#calls.addEvent(name, attributes);
  }

  /** A further span under each call's, of something that is over: it took so long, until now. */
  addCallSpans(name: string, tookMs: number, options: { kind: SpanKind; attributes: Attributes }): void {
    const endTime = performance.now();
    const startTime = endTime - tookMs;
    new CallSpans(this.#calls.contexts, name, { ...options, startTime }).end(endTime);
  }

  /** @param roomBytes what the headers may take in the message */
  startSend(stream: string, roomBytes: number): SendTrace {
    return new SendTrace(this.#calls.contexts, stream, roomBytes);
  }

  /** @param failure a stable identifier of why the batch was not processed */
  end(failure?: string): void {
    if (failure !== undefined) {
      markFailed(this.#batch, failure);
      this.#calls.fail(failure);
    }
    this.#calls.end();
    this.#batch.end();
  }
}

/** Undefined where the message holds no sampled call, as its header or the lack of one says. */
export function startStageTrace(
  header: string | undefined,
  stream: string,
  attempt: number,
): StageTrace | undefined {
  if (header === undefined || header === "") return undefined;
  const parents = decodeTraceHeader(header);
  return parents.size === 0 ? undefined : new StageTrace(parents, stream, attempt);
}

function tally<T>(values: readonly T[]): Map<T, number> {
  const counts = new Map<T, number>();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  return counts;
}
