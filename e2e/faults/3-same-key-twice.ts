import { knownRecord } from "./harness/known-records.ts";
import type { Scenario } from "./harness/scenario.ts";

export const scenario: Scenario = {
  title: "a transaction has the same keys many times, in any order, from several calls",
  isFast: true,
  async run({ mesh, random, recovered, isFull }) {
    for (let round = 0; round < (isFull ? 20 : 3); round++) {
      const calls = Array.from({ length: 6 }, () =>
        Array.from({ length: 100 }, () =>
          knownRecord(
            { sourceType: "note", sourceId: "twice", dataId: `twice-${random.below(5)}` },
            1 + random.below(50 * (round + 1)),
          ),
        ),
      );
      await Promise.all(calls.map((records) => mesh.producers[0]!.send(records)));
    }
    await recovered();
  },
};
