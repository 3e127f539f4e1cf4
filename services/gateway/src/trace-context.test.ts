import { expect, it } from "vitest";
import { readTraceContext } from "./trace-context.ts";

const TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736";
const GOOD = `00-${TRACE_ID}-00f067aa0ba902b7-01`;

it("reads the trace id and keeps the headers", () => {
  expect(readTraceContext(GOOD, "a=b")).toEqual({ traceparent: GOOD, tracestate: "a=b", traceId: TRACE_ID });
});

it("drops a tracestate that is too long, alone", () => {
  expect(readTraceContext(GOOD, "x".repeat(513))).toEqual({
    traceparent: GOOD,
    tracestate: "",
    traceId: TRACE_ID,
  });
});

it.each([
  undefined,
  "",
  "garbage",
  `ff-${TRACE_ID}-00f067aa0ba902b7-01`,
  `00-${"0".repeat(32)}-00f067aa0ba902b7-01`,
  `00-${TRACE_ID}-${"0".repeat(16)}-01`,
  GOOD.toUpperCase(),
])("takes %s for none", (traceparent) => {
  expect(readTraceContext(traceparent, "a=b")).toEqual({ traceparent: "", tracestate: "", traceId: "" });
});
