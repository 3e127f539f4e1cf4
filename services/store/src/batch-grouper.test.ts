import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { BatchGrouper } from "./batch-grouper.ts";

const limits = { maxRecords: 100, maxBytes: 1000, lingerMs: 20, patienceMs: 100 };
const none = { isWriting: false, endedMs: Number.NEGATIVE_INFINITY, tookMs: 0 };
const justNow = { isWriting: false, endedMs: 0, tookMs: 10 };
const item = (records: number, bytes = 1, alone = false) => ({ records, bytes, alone });

describe("BatchGrouper", () => {
  it("waits for nothing after a quiet time", () => {
    const grouper = new BatchGrouper(limits);
    expect(grouper.readyInMs(0, none)).toBeUndefined();
    grouper.add(item(10), 100);
    expect(grouper.readyInMs(100, none)).toBe(0);
    expect(grouper.readyInMs(100, { isWriting: false, endedMs: 95, tookMs: 2 })).toBe(0);
  });

  it("waits after a group for as long as that took, or until the linger since it began is over", () => {
    const grouper = new BatchGrouper(limits);
    grouper.add(item(10), 100);
    expect(grouper.readyInMs(101, { isWriting: false, endedMs: 100, tookMs: 8 })).toBe(7);
    expect(grouper.readyInMs(101, { isWriting: false, endedMs: 100, tookMs: 15 })).toBe(4);
    expect(grouper.readyInMs(101, { isWriting: false, endedMs: 100, tookMs: 90 })).toBe(0);
  });

  it("waits longer while another group is written, but for that one alone and not for ever", () => {
    const grouper = new BatchGrouper(limits);
    const writing = { isWriting: true, endedMs: 0, tookMs: 0 };
    grouper.add(item(10), 100);
    expect(grouper.readyInMs(106, writing)).toBe(94);
    expect(grouper.readyInMs(200, writing)).toBe(0);
    grouper.add(item(90), 106);
    expect(grouper.readyInMs(106, writing)).toBe(0);
  });

  it("does not wait when the group is full by records or bytes", () => {
    const byRecords = new BatchGrouper(limits);
    byRecords.add(item(100), 0);
    expect(byRecords.readyInMs(0, justNow)).toBe(0);
    const byBytes = new BatchGrouper(limits);
    byBytes.add(item(1, 1000), 0);
    expect(byBytes.readyInMs(0, justNow)).toBe(0);
  });

  it("keeps what must be alone alone", () => {
    const grouper = new BatchGrouper(limits);
    const alone = item(1, 1, true);
    const before = item(1);
    const after = item(1);
    for (const each of [before, alone, after]) grouper.add(each, 0);
    expect([grouper.take(), grouper.take(), grouper.take()]).toEqual([[before], [alone], [after]]);
  });

  it("takes everything once, in order, within the limits", () => {
    const arbitraryItem = fc
      .tuple(fc.nat(150), fc.nat(1500), fc.boolean())
      .map(([records, bytes, alone]) => item(records, bytes, alone));
    fc.assert(
      fc.property(fc.array(arbitraryItem, { maxLength: 30 }), (items) => {
        const grouper = new BatchGrouper(limits);
        for (const each of items) grouper.add(each, 0);
        const taken = [];
        while (grouper.size > 0) {
          const group = grouper.take();
          expect(group.length).toBeGreaterThan(0);
          if (group.length > 1) {
            expect(group.reduce((sum, { records }) => sum + records, 0)).toBeLessThanOrEqual(
              limits.maxRecords,
            );
            expect(group.reduce((sum, { bytes }) => sum + bytes, 0)).toBeLessThanOrEqual(limits.maxBytes);
            expect(group.some(({ alone }) => alone)).toBe(false);
          }
          taken.push(...group);
        }
        expect(taken).toEqual(items);
        expect(grouper.readyInMs(0, justNow)).toBeUndefined();
      }),
    );
  });
});
