import { setTimeout as sleep } from "node:timers/promises";
import type { Scenario } from "./harness/scenario.ts";

export const scenario: Scenario = {
  title: "writes fail as on a full disk (SQLSTATE 53100, raised by a trigger)",
  isFast: true,
  async run({ underLoad, database, recovered, isFull }) {
    await underLoad(async (load) => {
      const free = await database.failWrites("53100");
      await load.untilAccepted(1_000);
      // Long enough that every batch is given back and comes again, each alone in the end.
      await sleep(isFull ? 20_000 : 2_000);
      await free();
      await recovered();
    });
  },
};
