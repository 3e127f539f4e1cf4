import { describe, expect, it } from "vitest";
import { FAULT_KINDS } from "./fault-kinds.ts";
import { planRound, type RoundPlan } from "./plan.ts";

const ROUNDS = 200;
const plansOf = (seed: number): RoundPlan[] =>
  Array.from({ length: ROUNDS }, (_, i) => planRound(seed, i + 1, FAULT_KINDS));
/** All of a plan that can be told. */
const tell = ({ loads, faults, ...plan }: RoundPlan) =>
  JSON.stringify([plan, loads, faults.map(({ afterMs, fault }) => [afterMs, fault.what])]);

describe("a seed", () => {
  it("plans the same rounds again, and another seed plans others", () => {
    expect(plansOf(1).map(tell)).toEqual(plansOf(1).map(tell));
    expect(plansOf(1).map(tell)).not.toEqual(plansOf(2).map(tell));
    expect(new Set(plansOf(1).map(tell)).size).toBe(ROUNDS);
  });

  it("has every kind of fault in the end", () => {
    const played = new Set(plansOf(3).flatMap(({ faults }) => faults.map(({ fault }) => fault.kind)));
    expect([...played].sort()).toEqual([...FAULT_KINDS.keys()].sort());
  });

  it("sends what earlier rounds have sent in some, exactly", () => {
    const told = new Set<string>();
    let again = 0;
    for (const { loads } of plansOf(4))
      for (const load of loads.map((each) => JSON.stringify(each))) {
        if (told.has(load)) again++;
        told.add(load);
      }
    expect(again).toBeGreaterThan(ROUNDS / 10);
  });

  it("has faults begin while producers are at work", () => {
    for (const { faults, lengthMs } of plansOf(5))
      for (const { afterMs } of faults) expect(afterMs).toBeLessThan(lengthMs);
  });
});
