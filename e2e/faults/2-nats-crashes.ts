import { untilDrained } from "./harness/judge.ts";
import type { Scenario } from "./harness/scenario.ts";

export const scenario: Scenario = {
  title: "nats-server is killed again and again, in the midst of work and at rest",
  isFast: true,
  killsNats: true,
  async run({ mesh, underLoad, faults, recovered, isFull }) {
    const times = isFull ? 50 : 3;
    await underLoad(async (load) => {
      for (let crash = 0; crash < times; crash++) {
        await load.untilAccepted(200);
        await faults.crash("nats");
      }
      await recovered();
    });
    for (let crash = 0; crash < times; crash++) {
      await untilDrained(mesh);
      await faults.crash("nats");
      await recovered();
    }
  },
};
