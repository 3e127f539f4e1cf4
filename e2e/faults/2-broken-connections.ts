import { beforeBooks } from "./harness/moments.ts";
import type { Scenario } from "./harness/scenario.ts";

export const scenario: Scenario = {
  title: "connections are reset, and become half open without anybody being told",
  async run({ underLoad, faults, recovered }) {
    await underLoad(async () => {
      for (const service of ["gateway", "enricher", "dedup", "store"]) {
        faults.cut(service, "nats");
        await recovered();
        faults.halfOpen(service, "nats");
        await recovered();
      }
      faults.halfOpen("enricher", "nats", "toServer");
      await recovered();
      faults.halfOpen("dedup", "nats", "toClient");
      await recovered();

      faults.cut("store", "postgres");
      await recovered();
      faults.halfOpen("store", "postgres");
      await recovered();
      faults.halfOpen("store", "postgres", "toClient");
      await recovered();
      // In a transaction that has claimed its batches: nobody else can book them until PostgreSQL gives it up.
      const held = await faults.holdAt("store", beforeBooks);
      faults.halfOpen("store", "postgres");
      held.release();
      await recovered();
    });
  },
};
