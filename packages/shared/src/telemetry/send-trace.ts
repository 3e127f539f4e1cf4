import { SpanKind } from "@opentelemetry/api";
import { CallSpans } from "./call-spans.ts";
import { messagingAttributes } from "./span-attributes.ts";
import { type CallContexts, encodeTraceHeader, TRACE_HEADER } from "./trace-header.ts";

/** Undefined where no call is sampled. */
export function startSend(
  ...[parents, stream, roomBytes, links]: ConstructorParameters<typeof SendTrace>
): SendTrace | undefined {
  return parents.size === 0 ? undefined : new SendTrace(parents, stream, roomBytes, links);
}

/** The sending of one message: a producer span for each sampled call in it. */
export class SendTrace {
  /** What the message carries to the next stage. */
  readonly headers: Readonly<Record<string, string>>;
  readonly #spans: CallSpans;

  /**
   * @param roomBytes what the headers may take in the message
   * @param links another span that a call's own has to do with
   */
  constructor(parents: CallContexts, stream: string, roomBytes: number, links: CallContexts = new Map()) {
    const attributes = messagingAttributes("send", stream);
    this.#spans = new CallSpans(parents, `send ${stream}`, { kind: SpanKind.PRODUCER, attributes });
    for (const [call, context] of links) this.#spans.get(call)?.addLink({ context });
    const header = encodeTraceHeader(this.#spans.contexts, roomBytes);
    this.headers = header === undefined ? {} : { [TRACE_HEADER]: header };
  }

  get logFields(): { trace_id?: string } {
    return this.#spans.logFields;
  }

  /** One attempt failed; there may be another. */
  attemptFailed(reason: string): void {
    this.#spans.addEvent("send.failed", { "chowhound.reason": reason });
  }

  /** @param failure a stable identifier of why the message was not acknowledged */
  end(failure?: string): void {
    if (failure !== undefined) this.#spans.fail(failure);
    this.#spans.end();
  }
}
