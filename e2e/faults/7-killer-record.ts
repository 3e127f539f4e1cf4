import assert from "node:assert/strict";
import { type KnownRecord, knownRecord, padded } from "./harness/known-records.ts";
import { waitUntil } from "./harness/patience.ts";
import { applyPipeline } from "./harness/pipelines.ts";
import type { Scenario } from "./harness/scenario.ts";

const SOURCE = { sourceType: "album", sourceId: "shelf" };
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
      sourceType: SOURCE.sourceType,
      steps: [`- map: { attributes.size: 'string(size(metadata.pages.map(page, data).join("")))' }`],
    });
    let crashes = 0;
    let restarting = Promise.resolve();
    /** What a supervisor does. It may get the batch again before it is ready. */
    const keepStarting = async (): Promise<void> => {
      try {
        await faults.start("enricher");
      } catch {
        crashes++;
        fault("the enricher ended while it started");
        await keepStarting();
      }
    };
    mesh.process("enricher").onUnexpectedExit(({ exit }) => {
      crashes++;
      fault(`the enricher ended: ${exit.signal ?? exit.code}`);
      restarting = restarting.then(keepStarting);
    });
    const withPages = (record: KnownRecord, pages: number, padBytes = 0): KnownRecord => ({
      ...record,
      init: {
        ...record.init,
        data: padded(record.init.data!, padBytes),
        metadata: { version: record.version, pages: Array(pages).fill(0) },
      },
    });
    const countLetters = () =>
      mesh.withBooks(
        async ({ query }) =>
          (await query("select from dead_letters where reason = 'kills_process' and stage = 'enricher'"))
            .length,
      );

    for (const killers of isFull ? [1, 2] : [1]) {
      const before = { crashes, letters: await countLetters() };
      await underLoad(async () => {
        const records = Array.from({ length: NEIGHBOURS }, (_, i) =>
          withPages(knownRecord({ ...SOURCE, dataId: `page-${i}` }, killers), 3),
        );
        for (let killer = 0; killer < killers; killer++) {
          const place = { ...SOURCE, dataId: `tome-${killers}-${killer}` };
          records.splice(70 * (killer + 1), 0, withPages(knownRecord(place, 1, "dies"), 1_000, HEAVY_BYTES));
        }
        await mesh.producers[0]!.send(records);
        await waitUntil("what kills is a dead letter", {
          isDone: async () => (await countLetters()) === before.letters + killers,
          progress: async () => crashes,
        });
        await recovered();
      }, GENTLE);
      note(`${crashes - before.crashes} crashes until it was found`);
      assert.ok(crashes > before.crashes, "nothing was killed");
      assert.ok(crashes - before.crashes <= 5, "it was not contained");
    }
    await restarting;
  },
};
