import { SpanStatusCode, TraceFlags, trace } from "@opentelemetry/api";
import { tracing } from "@opentelemetry/sdk-node";
import { beforeEach, describe, expect, it } from "vitest";
import { sampleBatch } from "../testing/sample-batches.ts";
import { createCallSampler } from "./call-sampler.ts";
import { startStageTrace } from "./stage-trace.ts";
import { decodeTraceHeader, encodeTraceHeader, traceHeaderName } from "./trace-header.ts";
import { startWriteTrace } from "./write-trace.ts";

const exporter = new tracing.InMemorySpanExporter();
trace.setGlobalTracerProvider(
  new tracing.BasicTracerProvider({
    sampler: createCallSampler(0),
    spanProcessors: [new tracing.SimpleSpanProcessor(exporter)],
  }),
);
beforeEach(() => exporter.reset());

const traceIdOf = (call: number) => `${call + 1}`.repeat(32);
const headerOf = (...calls: number[]) => headerWith(TraceFlags.SAMPLED, ...calls);
const headerWith = (traceFlags: TraceFlags, ...calls: number[]) =>
  encodeTraceHeader(
    new Map(
      calls.map((call) => [call, { traceId: traceIdOf(call), spanId: "00f067aa0ba902b7", traceFlags }]),
    ),
    1_000,
  )!;
const named = (name: string) => exporter.getFinishedSpans().filter((span) => span.name === name);

describe("the trace of a stage", () => {
  it("is none, and nothing is recorded, for a message without sampled calls", () => {
    expect(startStageTrace(undefined, "s", 1)).toBeUndefined();
    expect(startStageTrace("", "s", 1)).toBeUndefined();
    expect(startStageTrace(headerWith(TraceFlags.NONE, 0), "s", 1)).toBeUndefined();
    expect(startWriteTrace([undefined, undefined])).toBeUndefined();
    expect(exporter.getFinishedSpans()).toEqual([]);
  });

  it("hands the sending of each call on, not that of the message before", () => {
    const stage = startStageTrace(headerOf(0, 2), "in", 1)!;
    const send = stage.startSend("out", 1_000);
    send.end();
    stage.end();
    const sent = named("send out").map((span) => span.spanContext());
    const handedOn = [...decodeTraceHeader(send.headers[traceHeaderName(0)]!)];
    expect(handedOn.map(([call, { traceId, spanId }]) => [call, traceId, spanId])).toEqual([
      [0, traceIdOf(0), sent[0]!.spanId],
      [2, traceIdOf(2), sent[1]!.spanId],
    ]);
  });

  it("loses its header rather than make a message too large", () => {
    expect(startStageTrace(headerOf(0), "in", 1)!.startSend("out", 50).headers).toEqual({});
  });

  it("tells of dead letters on the calls that brought them", () => {
    const records = Array.from({ length: 4 }, () => ({}));
    const batch = { ...sampleBatch({ records }), callOf: [0, 1, 1, 2] };
    const stage = startStageTrace(headerOf(0, 1), "in", 1)!;
    stage.describe(batch);
    const reason = "map_failed";
    stage.deadLettered(
      batch,
      [1, 2, 3].map((index) => ({ index, reason })),
    );
    stage.end();
    const [first, second] = named("process in");
    expect(first!.events).toEqual([]);
    expect(first!.attributes["chowhound.records"]).toBe(1);
    expect(second!.events).toMatchObject([
      { name: "records.dead_lettered", attributes: { "chowhound.reason": reason, "chowhound.records": 2 } },
    ]);
  });

  it("records failures: of an attempt as an event, of the whole as the status", () => {
    const stage = startStageTrace(headerOf(0), "in", 2)!;
    const send = stage.startSend("out", 1_000);
    send.attemptFailed("stream_full");
    send.end("not_acknowledged");
    const write = startWriteTrace([undefined, stage])!;
    write.attemptFailed("write_failed");
    write.end("given_back");
    stage.end("given_back");
    expect(named("send out")[0]).toMatchObject({
      events: [{ name: "send.failed", attributes: { "chowhound.reason": "stream_full" } }],
      status: { code: SpanStatusCode.ERROR },
      attributes: { "error.type": "not_acknowledged" },
    });
    expect(named("process in")[0]).toMatchObject({
      events: [{ name: "write.failed" }],
      attributes: { "error.type": "given_back", "chowhound.delivery_attempt": 2 },
    });
    for (const name of ["write group", "process batch in"])
      expect(named(name)[0]).toMatchObject({ status: { code: SpanStatusCode.ERROR } });
  });
});
