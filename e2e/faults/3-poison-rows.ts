import assert from "node:assert/strict";
import { untilDrained } from "./harness/judge.ts";
import { knownRecord } from "./harness/known-records.ts";
import type { Scenario } from "./harness/scenario.ts";

const RECORDS = 3_000;

export const scenario: Scenario = {
  title: "one row in a thousand is refused by the database, and harms no other",
  isFast: true,
  async run({ mesh, underLoad, database, recovered, random, note }) {
    const accept = await database.refuseRows("poison-%");
    const producer = mesh.producers[1]!;
    const countLetters = (): Promise<number> =>
      mesh.withBooks(
        async ({ query }) =>
          (await query("select from dead_letters where reason = 'value_refused_by_database'")).length,
      );
    const before = await countLetters();
    await underLoad(async () => {
      const calls: Promise<void>[] = [];
      for (let thousand = 0; thousand < RECORDS / 1_000; thousand++) {
        const bad = random.below(1_000);
        const records = Array.from({ length: 1_000 }, (_, i) => {
          const dataId = `${i === bad ? "poison" : "sound"}-${thousand}-${i}`;
          return knownRecord(
            { sourceType: "note", sourceId: "well", dataId },
            1,
            i === bad ? "dies" : "lands",
          );
        });
        calls.push(producer.send(records));
      }
      await Promise.all(calls);
      await recovered();
    });
    await untilDrained(mesh);
    const letters = (await countLetters()) - before;
    note(`${letters} dead letters`);
    assert.equal(letters, RECORDS / 1_000);
    await accept();
  },
};
