import type { Scenario } from "./harness/scenario.ts";

export const scenario: Scenario = {
  title: "of a NATS cluster of three one server after the other stands still, and the others go on",
  killsNats: true,
  mesh: { natsServers: 3 },
  async run({ faults, underLoad, recovered }) {
    await underLoad(async (load) => {
      for (const server of ["nats", "nats-2", "nats-3"]) {
        faults.freeze(server);
        await recovered();
        await load.untilAccepted(500);
        faults.thaw(server);
        await recovered();
        await load.untilAccepted(300);
      }
    });
  },
};
