import { describe, expect, it } from "vitest";
import {
  type CallContexts,
  decodeTraceHeader,
  encodeTraceHeader,
  MAX_TRACED_CALLS,
  traceHeaderBytes,
} from "./trace-header.ts";
import { parseTraceparent } from "./traceparent.ts";

const TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736";
const spanId = (call: number) => (call + 1).toString(16).padStart(16, "0");
const contexts = (...calls: number[]): CallContexts =>
  new Map(calls.map((call) => [call, parseTraceparent(`00-${TRACE_ID}-${spanId(call)}-01`)!]));
const upTo = (count: number): CallContexts => contexts(...Array.from({ length: count }, (_, call) => call));
/** An entry as another hand would write it. */
const entry = (call: number, { traceId = TRACE_ID, span = spanId(call), flags = "01" } = {}) =>
  Buffer.from(`${call.toString(16).padStart(4, "0")}${traceId}${span}${flags}`, "hex").toString("base64url");

describe("the trace header", () => {
  it("names the span of each sampled call", () => {
    const header = encodeTraceHeader(contexts(0, 7, 4_999), 1_000);
    expect(header).toBe(entry(0) + entry(7) + entry(4_999));
    expect(decodeTraceHeader(header!)).toEqual(contexts(0, 7, 4_999));
  });

  it("is bounded, and leaves out what has no room", () => {
    const header = encodeTraceHeader(upTo(5_000), 1_000_000)!;
    expect(decodeTraceHeader(header)).toEqual(upTo(MAX_TRACED_CALLS));
    // What JetStream takes.
    expect(traceHeaderBytes(5_000)).toBeLessThan(65_535);
    expect(header.length).toBeLessThan(traceHeaderBytes(5_000));
    const short = encodeTraceHeader(upTo(5_000), 150)!;
    expect(short.length).toBeLessThanOrEqual(150);
    expect(decodeTraceHeader(short)).toEqual(upTo(2));
  });

  it("fits where so many bytes are left for it", () => {
    for (const calls of [1, 2, 500, MAX_TRACED_CALLS])
      expect(decodeTraceHeader(encodeTraceHeader(upTo(calls), traceHeaderBytes(calls))!).size).toBe(calls);
  });

  it("is absent where there is nothing to say or no room", () => {
    expect(encodeTraceHeader(new Map(), 1_000)).toBeUndefined();
    expect(encodeTraceHeader(contexts(0), 90)).toBeUndefined();
    expect(encodeTraceHeader(contexts(0), -5_000)).toBeUndefined();
  });

  it.each([
    "",
    ",,,",
    "garbage",
    "=".repeat(36),
    `0=00-${TRACE_ID}-00f067aa0ba902b7-01`,
    entry(0).slice(1),
    entry(0, { flags: "00" }),
    entry(0, { traceId: "0".repeat(32) }),
    entry(0, { span: "0".repeat(16) }),
  ])("reads nothing from %j", (header) => {
    expect(decodeTraceHeader(header).size).toBe(0);
  });

  it("reads what is good beside what is not", () => {
    expect(decodeTraceHeader(`${"*".repeat(36)}${entry(3)}${entry(4).slice(9)}`)).toEqual(contexts(3));
  });
});
