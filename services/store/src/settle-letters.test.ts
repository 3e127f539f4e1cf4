import { create } from "@bufbuild/protobuf";
import { RecordBatchSchema } from "@chowhound/shared/contracts/chowhound/internal/v1/record_batch";
import { describe, expect, it } from "vitest";
import type { DeadRecord } from "./incoming-record.ts";
import { LetterSettlement } from "./settle-letters.ts";

const ORIGINAL = "00000000-0000-4000-8000-000000000001";
const bytesOf = (uuid: string): Buffer => Buffer.from(uuid.replaceAll("-", ""), "hex");
const id = (ordinal: number): string => `${ORIGINAL}/${ordinal}`;

/** A replay of the letters with these ordinals. */
function replay(...ordinals: number[]) {
  return create(RecordBatchSchema, { replayOf: bytesOf(ORIGINAL), replayOrdinals: ordinals });
}
const dead = (batch: ReturnType<typeof replay>, index: number) => ({ batch, index }) as DeadRecord;

/** How many letters are open afterwards. */
function openAfter(settlement: LetterSettlement, before: Map<string, boolean>): number {
  const open = [...before].filter(([, isOpen]) => isOpen).length;
  return open + settlement.fresh.length - settlement.resolutions.length;
}

describe("settling letters", () => {
  it("keeps a record that dies for the first time", () => {
    const settlement = new LetterSettlement(new Map());
    const record = dead(create(RecordBatchSchema), 0);
    expect(settlement.died(record)).toBe(0);
    expect(settlement.fresh).toEqual([record]);
  });

  it("resolves an open letter with the verdict of its record", () => {
    const settlement = new LetterSettlement(new Map([[id(7), true]]));
    const batch = replay(7);
    expect(settlement.landed({ batch, index: 0 }, "stale")).toBe(1);
    expect(settlement.resolutions).toEqual([
      { letter: { batchId: ORIGINAL, ordinal: 7 }, verdict: "stale", replay: batch },
    ]);
  });

  it("leaves a letter open whose record dies again, and makes no second one", () => {
    const settlement = new LetterSettlement(new Map([[id(7), true]]));
    const batches = [replay(7), replay(7)];
    expect(batches.map((batch) => settlement.died(dead(batch, 0)))).toEqual([1, 1]);
    expect(settlement.fresh).toEqual([]);
    expect(settlement.resolutions).toEqual([]);
    expect(settlement.relapses).toMatchObject([{ deaths: 2, record: { batch: batches[1] } }]);
  });

  it("changes nothing about a letter that is settled, and keeps the sum", () => {
    const settlement = new LetterSettlement(new Map([[id(7), false]]));
    expect(settlement.landed({ batch: replay(7), index: 0 }, "stored")).toBe(0);
    // One death more, none open more: it has to be taken off again.
    expect(settlement.died(dead(replay(7), 0))).toBe(1);
    expect([settlement.fresh, settlement.relapses, settlement.resolutions]).toEqual([[], [], []]);
  });

  it("keeps a record whose letter is not there, as if it died for the first time", () => {
    const settlement = new LetterSettlement(new Map());
    expect(settlement.died(dead(replay(7), 0))).toBe(0);
    expect(settlement.landed({ batch: replay(8), index: 0 }, "stored")).toBe(0);
    expect(settlement.fresh).toHaveLength(1);
  });

  it("open = before + deaths - reclaimed, whatever comes in whatever order in one transaction", () => {
    for (const order of [
      ["died", "landed", "died"],
      ["landed", "died", "landed"],
      ["died", "died", "landed"],
    ]) {
      for (const isOpen of [true, false]) {
        const before = new Map([[id(1), isOpen]]);
        const settlement = new LetterSettlement(before);
        let balance = isOpen ? 1 : 0;
        for (const what of order) {
          const batch = replay(1);
          if (what === "died") balance += 1 - settlement.died(dead(batch, 0));
          else balance -= settlement.landed({ batch, index: 0 }, "stored");
        }
        expect(openAfter(settlement, before)).toBe(balance);
        expect(balance).toBe(0);
      }
    }
  });
});
