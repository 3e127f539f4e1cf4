import { ROOT_CONTEXT, type SpanContext, SpanKind, trace } from "@opentelemetry/api";
import { tracing } from "@opentelemetry/sdk-node";
import { describe, expect, it } from "vitest";
import { createCallSampler } from "./call-sampler.ts";

const span = (traceFlags: number): SpanContext => ({
  traceId: "4bf92f3577b34da6a3ce929d0e0e4736",
  spanId: "00f067aa0ba902b7",
  traceFlags,
  isRemote: true,
});

function isRecorded(
  ratio: number,
  { parent, links = [] }: { parent?: SpanContext; links?: SpanContext[] },
): boolean {
  const context = parent === undefined ? ROOT_CONTEXT : trace.setSpanContext(ROOT_CONTEXT, parent);
  const { decision } = createCallSampler(ratio).shouldSample(
    context,
    "ffffffffffffffffffffffffffffffff",
    "name",
    SpanKind.SERVER,
    {},
    links.map((linked) => ({ context: linked })),
  );
  return decision === tracing.SamplingDecision.RECORD_AND_SAMPLED;
}

describe("the sampler", () => {
  it.each([0, 1])("does as the parent says, whatever the ratio (%d)", (ratio) => {
    expect(isRecorded(ratio, { parent: span(1) })).toBe(true);
    expect(isRecorded(ratio, { parent: span(0), links: [span(1)] })).toBe(false);
  });

  it("goes by the ratio where there is no parent", () => {
    expect(isRecorded(0, {})).toBe(false);
    expect(isRecorded(1, {})).toBe(true);
  });

  it("records what merges calls if one of them is sampled", () => {
    expect(isRecorded(0, { links: [span(0), span(1)] })).toBe(true);
    expect(isRecorded(0, { links: [span(0)] })).toBe(false);
  });
});
