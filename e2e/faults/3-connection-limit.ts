import { setTimeout as sleep } from "node:timers/promises";
import type { Scenario } from "./harness/scenario.ts";

export const scenario: Scenario = {
  title: "the database has no connection left for the store",
  async run({ mesh, underLoad, faults, database, recovered }) {
    // Few enough that another session can have them all.
    await mesh.withBooks(({ query }) => query("alter system set max_connections = 20"));
    await faults.restart("postgres");
    await underLoad(async (load) => {
      const giveBack = await database.takeAllConnections();
      await load.untilAccepted(1_000);
      await sleep(5_000);
      await giveBack();
      await recovered();
    });
    await mesh.withBooks(({ query }) => query("alter system reset max_connections"));
    await faults.restart("postgres");
  },
};
