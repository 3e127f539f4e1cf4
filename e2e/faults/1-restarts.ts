import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import type { Scenario } from "./harness/scenario.ts";

export const scenario: Scenario = {
  title: "each service is restarted in turn, and drains before it ends",
  async run({ mesh, underLoad, faults, recovered }) {
    const countDrained = async (service: string): Promise<number> =>
      (await readFile(mesh.process(service).logFile, "utf8")).split('"message":"drained"').length - 1;

    await underLoad(async () => {
      for (const service of ["store", "dedup", "enricher", "gateway"]) {
        const before = await countDrained(service);
        await faults.restart(service);
        assert.equal(await countDrained(service), before + 1, `${service} did not drain`);
        await recovered();
      }
    });
  },
};
