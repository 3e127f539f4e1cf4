import { setTimeout as sleep } from "node:timers/promises";
import type { Scenario } from "./harness/scenario.ts";

/** More than twice the ack_wait of these meshes: what is held is delivered to nobody else, and then again. */
const FROZEN_MS = 5_000;

export const scenario: Scenario = {
  title: "each service is frozen for longer than ack_wait, then goes on with what it held",
  async run({ underLoad, faults, recovered }) {
    await underLoad(async () => {
      for (const service of ["enricher", "dedup", "store", "gateway"]) {
        faults.freeze(service);
        await sleep(FROZEN_MS);
        faults.thaw(service);
        await recovered();
      }
    });
  },
};
