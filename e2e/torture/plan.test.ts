import { describe, expect, it } from "vitest";
import { natsServerNames } from "../faults/harness/fault-mesh.ts";
import { planRecords } from "../faults/harness/known-records.ts";
import { createRandom } from "../faults/harness/random.ts";
import { FAULT_KINDS, kindsFor } from "./fault-kinds.ts";
import { planRound, type RoundPlan } from "./plan.ts";

const ROUNDS = 200;
const CLUSTER = natsServerNames(3);
const plansOf = (seed: number, natsServers = CLUSTER): RoundPlan[] =>
  Array.from({ length: ROUNDS }, (_, i) => planRound(seed, i + 1, FAULT_KINDS, natsServers));
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

  it("does to one server of NATS what can be done to one", () => {
    const faults = plansOf(3, natsServerNames(1)).flatMap((plan) => plan.faults.map(({ fault }) => fault));
    const played = new Set(faults.map(({ kind }) => kind));
    expect([...played].sort()).toEqual([...kindsFor(FAULT_KINDS, 1).keys()].sort());
    expect(faults.filter(({ what }) => /nats-\d/.test(what))).toEqual([]);
  });

  it("lets nobody claim another's uuid in a round in which the database forgets whose it is", () => {
    const isClaimed = ({ loads }: RoundPlan): boolean =>
      loads.some((load) => {
        // What makes them large takes long.
        if (load.name.startsWith("large")) return false;
        const records = planRecords({ ...load, keys: 1_000, random: createRandom(1) });
        return Array.from({ length: 2_000 }, () => records.next().value).some(
          ({ fate }) => fate === "conflicts",
        );
      });
    const [wiped, others] = [true, false].map((each) =>
      plansOf(6).filter(({ faults }) => faults.some(({ fault }) => fault.kind === "wipe-database") === each),
    );
    expect(wiped!.length).toBeGreaterThan(3);
    expect(wiped!.filter((plan) => isClaimed(plan) || !plan.isWithoutUsurpers)).toEqual([]);
    expect(others!.slice(0, 10).filter(isClaimed)).not.toEqual([]);
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
