import { SpanKind } from "@opentelemetry/api";
import { CallSpans } from "./call-spans.ts";
import { messagingAttributes } from "./span-attributes.ts";
import { type CallContexts, encodeTraceHeader, traceHeaderName } from "./trace-header.ts";

/** What is told of the sending of one message. */
export interface Sending {
  /** What the message carries to the next stage. */
  readonly headers: Readonly<Record<string, string>>;
  /** For a log line: one of the traces. */
  readonly logFields: { trace_id?: string };
  /** One attempt failed; there may be another. */
  attemptFailed(reason: string): void;
  /** @param failure a stable identifier of why the message was not acknowledged */
  end(failure?: string): void;
}

/** Undefined where no call is sampled. */
export function startSend(
  ...[parents, stream, roomBytes, links]: ConstructorParameters<typeof SendTrace>
): SendTrace | undefined {
  return parents.size === 0 ? undefined : new SendTrace(parents, stream, roomBytes, links);
}

/** The sending of one batch: a producer span for each sampled call in it. */
export class SendTrace implements Sending {
  /** The value of the batch's header; undefined where there was no room. */
  readonly #header: string | undefined;
  readonly #spans: CallSpans;

  /**
   * @param roomBytes what the headers may take in the message
   * @param links another span that a call's own has to do with
   */
  constructor(parents: CallContexts, stream: string, roomBytes: number, links: CallContexts = new Map()) {
    const attributes = messagingAttributes("send", stream);
    this.#spans = new CallSpans(parents, `send ${stream}`, { kind: SpanKind.PRODUCER, attributes });
    for (const [call, context] of links) this.#spans.get(call)?.addLink({ context });
    this.#header = encodeTraceHeader(this.#spans.contexts, roomBytes);
  }

  get headers(): Record<string, string> {
    return this.headersAt(0);
  }

  /** @param place of the batch in its message */
  headersAt(place: number): Record<string, string> {
    return this.#header === undefined ? {} : { [traceHeaderName(place)]: this.#header };
  }

  get logFields(): { trace_id?: string } {
    return this.#spans.logFields;
  }

  attemptFailed(reason: string): void {
    this.#spans.addEvent("send.failed", { "chowhound.reason": reason });
  }

  end(failure?: string): void {
    if (failure !== undefined) this.#spans.fail(failure);
    this.#spans.end();
  }
}

/** The sending of batches in one message, in their order there. Undefined where none of them holds a sampled call. */
export function sendTogether(batches: readonly (SendTrace | undefined)[]): Sending | undefined {
  const traced = batches.filter((trace) => trace !== undefined);
  if (traced.length === 0) return undefined;
  return {
    headers: Object.assign({}, ...batches.map((trace, place) => trace?.headersAt(place))),
    logFields: traced[0]!.logFields,
    attemptFailed(reason) {
      for (const trace of traced) trace.attemptFailed(reason);
    },
    end(failure) {
      for (const trace of traced) trace.end(failure);
    },
  };
}
