import { type Span, SpanKind } from "@opentelemetry/api";
import { ATTR_DB_OPERATION_NAME, ATTR_DB_SYSTEM_NAME } from "@opentelemetry/semantic-conventions";
import { markFailed, startSpan } from "./call-spans.ts";
import type { StageTrace } from "./stage-trace.ts";

/** One transaction for several batches: a span in a trace of its own, linked to every sampled call in it. */
export class WriteTrace {
  readonly #span: Span;
  readonly #stages: readonly StageTrace[];

  constructor(stages: readonly StageTrace[], batches: number) {
    const links = stages.flatMap(({ callContexts }) => callContexts.map((context) => ({ context })));
    const attributes = { "chowhound.group.batches": batches };
    this.#span = startSpan("write group", { kind: SpanKind.INTERNAL, links, attributes }, undefined);
    this.#stages = stages;
  }

  get logFields(): { trace_id?: string } {
    return this.#stages[0]?.logFields ?? {};
  }

  /** One attempt failed; the same batches are written again. */
  attemptFailed(reason: string): void {
    const attributes = { "chowhound.reason": reason };
    this.#span.addEvent("write.failed", attributes);
    for (const stage of this.#stages) stage.addCallEvent("write.failed", attributes);
  }

  /** The transaction has just been committed, by a COMMIT that took so long. */
  committed({ system, tookMs }: { system: string; tookMs: number }): void {
    const attributes = { [ATTR_DB_SYSTEM_NAME]: system, [ATTR_DB_OPERATION_NAME]: "COMMIT" };
    for (const stage of this.#stages) {
      stage.addCallSpans("COMMIT", tookMs, { kind: SpanKind.CLIENT, attributes });
      stage.setCallAttributes({ "chowhound.commit_ms": tookMs });
    }
    this.#span.setAttributes({ ...attributes, "chowhound.commit_ms": tookMs });
  }

  /** @param failure a stable identifier of why nothing was written */
  end(failure?: string): void {
    if (failure !== undefined) markFailed(this.#span, failure);
    this.#span.end();
  }
}

/** Undefined where no batch of the group holds a sampled call. */
export function startWriteTrace(stages: readonly (StageTrace | undefined)[]): WriteTrace | undefined {
  const traced = stages.filter((stage) => stage !== undefined);
  return traced.length === 0 ? undefined : new WriteTrace(traced, stages.length);
}
