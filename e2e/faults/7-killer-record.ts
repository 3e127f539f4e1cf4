import assert from "node:assert/strict";
import { countKillers, KILLER_SOURCE, KILLING_STEPS, supervise, withPages } from "./harness/killer-record.ts";
import { knownRecord } from "./harness/known-records.ts";
import { waitUntil } from "./harness/patience.ts";
import { applyPipeline } from "./harness/pipelines.ts";
import type { Scenario } from "./harness/scenario.ts";

const NEIGHBOURS = 200;
/** Nothing else of the enricher's memory is to run short. */
const GENTLE = { producers: 2, pauseMs: 200 };
/** Joined to itself a thousand times, which is what the pipeline does, it is more than the enricher's memory. */
const HEAVY_BYTES = 300_000;

export const scenario: Scenario = {
  title: "a record makes every enricher run out of memory; it is found, and its neighbours land",
  isFast: true,
  mesh: { env: { enricher: { NODE_OPTIONS: "--max-old-space-size=160" } } },
  async run({ mesh, faults, fault, note, underLoad, recovered, isFull }) {
    await applyPipeline(mesh, {
      sourceType: KILLER_SOURCE.sourceType,
      steps: KILLING_STEPS,
    });
    const supervisor = supervise(mesh, faults, ["enricher"], fault);

    for (const killers of isFull ? [1, 2] : [1]) {
      const before = { crashes: supervisor.crashes, letters: await countKillers(mesh) };
      await underLoad(async () => {
        const records = Array.from({ length: NEIGHBOURS }, (_, i) =>
          withPages(knownRecord({ ...KILLER_SOURCE, dataId: `page-${i}` }, killers), 3),
        );
        for (let killer = 0; killer < killers; killer++) {
          const place = { ...KILLER_SOURCE, dataId: `tome-${killers}-${killer}` };
          records.splice(70 * (killer + 1), 0, withPages(knownRecord(place, 1, "dies"), 1_000, HEAVY_BYTES));
        }
        await mesh.producers[0]!.send(records);
        await waitUntil("what kills is a dead letter", {
          isDone: async () => (await countKillers(mesh)) === before.letters + killers,
          progress: async () => supervisor.crashes,
        });
        await recovered();
      }, GENTLE);
      const crashes = supervisor.crashes - before.crashes;
      note(`${crashes} crashes until it was found`);
      assert.ok(crashes > 0, "nothing was killed");
      assert.ok(crashes <= 5, "it was not contained");
    }
    await supervisor.stop();
  },
};
