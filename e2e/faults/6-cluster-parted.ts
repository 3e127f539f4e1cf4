import type { Scenario } from "./harness/scenario.ts";

const SERVERS = ["nats", "nats-2", "nats-3"] as const;

export const scenario: Scenario = {
  title:
    "of a NATS cluster of three one server after the other is cut off from the two others, and keeps its clients",
  killsNats: true,
  mesh: { natsServers: 3 },
  async run({ faults, underLoad, recovered }) {
    await underLoad(async (load) => {
      for (const alone of SERVERS) {
        const others = SERVERS.filter((server) => server !== alone);
        for (const other of others) {
          faults.cutOff(alone, other);
          faults.cutOff(other, alone);
        }
        await recovered();
        await load.untilAccepted(500);
        for (const other of others) {
          faults.heal(alone, other);
          faults.heal(other, alone);
        }
        await recovered();
        await load.untilAccepted(300);
      }
    });
  },
};
