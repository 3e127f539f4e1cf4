import { setTimeout as sleep } from "node:timers/promises";
import { afterCommit, beforeCommit } from "./harness/moments.ts";
import type { Scenario } from "./harness/scenario.ts";

export const scenario: Scenario = {
  title: "PostgreSQL is killed right before, right after and in the midst of a COMMIT",
  isFast: true,
  async run({ underLoad, faults, recovered, random, isFull }) {
    await underLoad(async () => {
      for (const moment of [beforeCommit, afterCommit]) {
        const held = await faults.holdAt("store", moment);
        await faults.kill("postgres");
        held.release();
        await faults.start("postgres");
        await recovered();
      }
      for (let race = 0; race < (isFull ? 20 : 1); race++) {
        const held = await faults.holdAt("store", beforeCommit);
        held.release();
        await sleep(random.below(4));
        await faults.crash("postgres");
        await recovered();
      }
    });
  },
};
