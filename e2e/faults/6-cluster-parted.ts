import { setTimeout as sleep } from "node:timers/promises";
import type { Scenario } from "./harness/scenario.ts";

const SERVERS = ["nats", "nats-2", "nats-3"] as const;
const PARTED_MS = 5_000;

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
        await sleep(PARTED_MS);
        await load.untilAccepted(500);
        await recovered();
        for (const other of others) {
          faults.heal(alone, other);
          faults.heal(other, alone);
        }
        await load.untilAccepted(300);
        await recovered();
      }
    });
  },
};
