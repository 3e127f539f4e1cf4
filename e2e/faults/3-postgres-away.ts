import { setTimeout as sleep } from "node:timers/promises";
import type { Scenario } from "./harness/scenario.ts";

export const scenario: Scenario = {
  title: "PostgreSQL is restarted, away for a while, and the door stays open meanwhile",
  async run({ underLoad, faults, recovered }) {
    await underLoad(async (load) => {
      await faults.restart("postgres");
      await recovered();
      await faults.kill("postgres");
      await load.untilAccepted(1_000);
      await sleep(5_000);
      await faults.start("postgres");
      await recovered();
    });
  },
};
