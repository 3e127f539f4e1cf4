import { tracing } from "@opentelemetry/sdk-node";
import { isSampled } from "./traceparent.ts";

/**
 * Decides what is recorded: a span below another as that one is, a span that merges calls (a batch, a transaction) if
 * one that it is linked to is, and any other by chance.
 *
 * @param ratio from 0 to 1
 */
export function createCallSampler(ratio: number): tracing.Sampler {
  const byChance = new tracing.TraceIdRatioBasedSampler(ratio);
  const root: tracing.Sampler = {
    shouldSample: (...[context, traceId, , , , links]: Parameters<tracing.Sampler["shouldSample"]>) =>
      links.some((link) => isSampled(link.context))
        ? { decision: tracing.SamplingDecision.RECORD_AND_SAMPLED }
        : byChance.shouldSample(context, traceId),
    toString: () => `CallSampler{${ratio}}`,
  };
  return new tracing.ParentBasedSampler({ root });
}
