import { setTimeout as sleep } from "node:timers/promises";
import type { Scenario } from "./harness/scenario.ts";

const SERVICES = ["gateway", "enricher", "dedup", "store"];
const AWAY_MS = 3_000;

export const scenario: Scenario = {
  title:
    "each service is cut off from NATS for longer than ack_wait, the store from PostgreSQL, and the network is slow",
  async run({ underLoad, faults, recovered }) {
    await underLoad(async () => {
      for (const service of SERVICES) {
        faults.cutOff(service, "nats");
        await sleep(AWAY_MS);
        faults.heal(service, "nats");
        await recovered();
      }
      faults.cutOff("store", "postgres");
      await sleep(AWAY_MS);
      faults.heal("store", "postgres");
      await recovered();

      for (const service of SERVICES) faults.delay(service, "nats", 100);
      await recovered();
      for (const service of SERVICES) faults.heal(service, "nats");
    });
  },
};
