import { setTimeout as sleep } from "node:timers/promises";
import { beforeBooks } from "./harness/moments.ts";
import type { Scenario } from "./harness/scenario.ts";

/** More than twice the ack_wait of these meshes: what is held is delivered to the other replica, and worked on by both in the end. */
const FROZEN_MS = 5_000;

export const scenario: Scenario = {
  title:
    "one of two replicas of each service is frozen for longer than ack_wait, then goes on with what it held, which the other one has done",
  mesh: { replicas: { enricher: 2, dedup: 2, store: 2 } },
  async run({ underLoad, faults, recovered }) {
    await underLoad(async () => {
      for (const service of ["enricher", "dedup", "store", "gateway"]) {
        faults.freeze(service);
        await sleep(FROZEN_MS);
        // The gateway is alone.
        if (service !== "gateway") await recovered();
        faults.thaw(service);
        await recovered();
      }
      // In the midst of its transaction: the other store waits for what it has claimed until PostgreSQL gives it up.
      const held = await faults.holdAt("store", beforeBooks);
      faults.freeze("store");
      held.release();
      await sleep(2 * FROZEN_MS);
      await recovered();
      faults.thaw("store");
      await recovered();
    });
  },
};
