import { describe, expect, it } from "vitest";
import { type CallContexts, decodeTraceHeader, encodeTraceHeader, MAX_TRACED_CALLS } from "./trace-header.ts";
import { parseTraceparent } from "./traceparent.ts";

const TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736";
const traceparent = (call: number, flags = "01") =>
  `00-${TRACE_ID}-${(call + 1).toString(16).padStart(16, "0")}-${flags}`;
const contexts = (...calls: number[]): CallContexts =>
  new Map(calls.map((call) => [call, parseTraceparent(traceparent(call))!]));

describe("the trace header", () => {
  it("names the span of each sampled call", () => {
    const header = encodeTraceHeader(contexts(0, 7), 1_000);
    expect(header).toBe(`0=${traceparent(0)},7=${traceparent(7)}`);
    expect(decodeTraceHeader(header!)).toEqual(contexts(0, 7));
  });

  it("is bounded, and leaves out what has no room", () => {
    const many = contexts(...Array.from({ length: 5_000 }, (_, call) => call));
    const header = encodeTraceHeader(many, 1_000_000)!;
    expect(header.length).toBeLessThan(7 * 1024);
    expect(decodeTraceHeader(header).size).toBe(MAX_TRACED_CALLS);
    const short = encodeTraceHeader(many, 200)!;
    expect(short.length).toBeLessThanOrEqual(200);
    expect(decodeTraceHeader(short)).toEqual(contexts(0, 1));
  });

  it("is absent where there is nothing to say or no room", () => {
    expect(encodeTraceHeader(new Map(), 1_000)).toBeUndefined();
    expect(encodeTraceHeader(contexts(0), 100)).toBeUndefined();
    expect(encodeTraceHeader(contexts(0), -5_000)).toBeUndefined();
  });

  it.each([
    "",
    ",,,",
    "garbage",
    "0=",
    `x=${traceparent(0)}`,
    `-1=${traceparent(0)}`,
    `0=${traceparent(0, "00")}`,
    `0=00-${"0".repeat(32)}-00f067aa0ba902b7-01`,
    `0=ff${traceparent(0).slice(2)}`,
  ])("reads nothing from %j", (header) => {
    expect(decodeTraceHeader(header).size).toBe(0);
  });

  it("reads what is good beside what is not", () => {
    expect(decodeTraceHeader(`garbage,3=${traceparent(3)},4=`)).toEqual(contexts(3));
  });
});
