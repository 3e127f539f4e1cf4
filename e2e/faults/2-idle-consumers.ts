import type { Scenario } from "./harness/scenario.ts";

const STAGES = ["enricher", "dedup", "store"];

export const scenario: Scenario = {
  title: "all stages are paused while nats-server restarts and crashes, then go on",
  killsNats: true,
  async run({ underLoad, faults, recovered }) {
    await underLoad(async (load) => {
      for (const stage of STAGES) await faults.pause(stage);
      await load.untilAccepted(500);
      await faults.restart("nats");
      await load.untilAccepted(500);
      await faults.crash("nats");
      await load.untilAccepted(500);
      for (const stage of STAGES) await faults.resume(stage);
      await recovered();
    });
  },
};
