import type { Scenario } from "./harness/scenario.ts";

export const scenario: Scenario = {
  title: "of two replicas of each stage one is killed, and the other works on alone",
  mesh: { replicas: { enricher: 2, dedup: 2, store: 2 } },
  async run({ underLoad, faults, recovered }) {
    const stages = ["enricher", "dedup", "store"];
    await underLoad(async (load) => {
      for (const stage of stages) {
        await faults.kill(`${stage}-2`);
        await recovered();
      }
      await load.untilAccepted(500);
      for (const stage of stages) await faults.start(`${stage}-2`);
      for (const stage of stages) {
        await faults.kill(stage);
        await recovered();
      }
      for (const stage of stages) await faults.start(stage);
    });
  },
};
