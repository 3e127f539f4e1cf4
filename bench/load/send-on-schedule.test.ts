import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { CallFailedError, type Ingest } from "./producer.ts";
import { sendOnSchedule } from "./send-on-schedule.ts";

const { signal } = new AbortController();
const requests = Array.from({ length: 20 }, (_, i) => Uint8Array.of(i));
const receipt = { accepted: 1, rejected: 0, receiptId: "" };

test("calls keep their places in the schedule while the other side stands still", async () => {
  const stuckUntilMs = performance.now() + 300;
  const ingest: Ingest = async () => {
    await sleep(Math.max(0, stuckUntilMs - performance.now()));
    return receipt;
  };
  const { calls } = await sendOnSchedule(ingest, requests, { callsPerSecond: 200, signal });
  const [first, second] = calls;
  expect(second!.intendedMs - first!.intendedMs).toBeCloseTo(5);
  // Each waited from when it was due, not only the one that happened to be sent first.
  const waitedMs = calls.map(({ intendedMs, answeredMs }) => answeredMs - intendedMs);
  expect(Math.min(...waitedMs)).toBeGreaterThan(150);
});

test("a refused call is sent again, and counts from its first time", async () => {
  let refusals = 1;
  const ingest: Ingest = async () => {
    if (refusals-- > 0) throw new CallFailedError("full", true);
    return receipt;
  };
  const { calls, receipts } = await sendOnSchedule(ingest, requests.slice(0, 1), {
    callsPerSecond: 1,
    signal,
  });
  expect(receipts).toEqual({ accepted: 1, rejected: 0, retries: 1 });
  expect(calls[0]!.answeredMs - calls[0]!.intendedMs).toBeGreaterThan(200);
});
