import { randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, vi } from "vitest";
import type { OtlpReceiver, ReceivedSpan } from "./otlp-receiver.ts";

/** As OTLP numbers them. */
export const KIND = { server: 2, client: 3, producer: 4, consumer: 5 } as const;

const WAIT = { timeout: 15_000, interval: 50 };

/** Every hop of a call, from the gateway to the commit, as [service, span, kind]; each is the parent of the next. */
export const hops = (method: string) => [
  ["chowhound-gateway", `chowhound.v1.IngestionService/${method}`, KIND.server],
  ["chowhound-gateway", "send chowhound-raw", KIND.producer],
  ["chowhound-enricher", "process chowhound-raw", KIND.consumer],
  ["chowhound-enricher", "send chowhound-enriched", KIND.producer],
  ["chowhound-dedup", "process chowhound-enriched", KIND.consumer],
  ["chowhound-dedup", "send chowhound-unique", KIND.producer],
  ["chowhound-store", "process chowhound-unique", KIND.consumer],
  ["chowhound-store", "COMMIT", KIND.client],
];

/** A client's own span: what it sends along, and its ids. */
export function clientSpan(flags: "00" | "01" = "01") {
  const traceId = randomBytes(16).toString("hex");
  const spanId = randomBytes(8).toString("hex");
  return { traceId, spanId, traceparent: `00-${traceId}-${spanId}-${flags}` };
}
export type ClientSpan = ReturnType<typeof clientSpan>;

/** The traces that have come to a receiver. */
export function createTracePaths(receiver: OtlpReceiver) {
  const spansOf = (traceId: string): ReceivedSpan[] =>
    receiver.spans.filter((span) => span.traceId === traceId);

  /** The spans below `parentSpanId`, as long as there is one below each. */
  function pathBelow(traceId: string, parentSpanId: string): ReceivedSpan[] {
    const next = spansOf(traceId).find((span) => span.parentSpanId === parentSpanId);
    return next === undefined ? [] : [next, ...pathBelow(traceId, next.spanId)];
  }

  return {
    spansOf,

    /** Waits for the whole way of the one call below a span, by default a client's own. */
    async wholeWay(
      { traceId, spanId }: Pick<ClientSpan, "traceId" | "spanId">,
      expected = hops("Ingest"),
    ): Promise<ReceivedSpan[]> {
      return await vi.waitFor(() => {
        const path = pathBelow(traceId, spanId);
        expect(path.map(({ service, name, kind }) => [service, name, kind])).toEqual(expected);
        return path;
      }, WAIT);
    },

    /** Waits until no service has any more spans to send. */
    async allSent(): Promise<number> {
      for (;;) {
        const before = receiver.spans.length;
        await sleep(500);
        if (receiver.spans.length === before) return before;
      }
    },
  };
}
