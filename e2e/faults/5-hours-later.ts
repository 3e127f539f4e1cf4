import assert from "node:assert/strict";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { untilDrained } from "./harness/judge.ts";
import { type KnownRecord, planRecords, withUuid } from "./harness/known-records.ts";
import { createRandom } from "./harness/random.ts";
import type { Scenario } from "./harness/scenario.ts";

const INDEX_KEYS = 1_000;
const CALLS = 40;
const CALL_RECORDS = 50;

export const scenario: Scenario = {
  title:
    "all is sent again when nobody remembers it: everything was restarted, the index is evicted, then lost",
  mesh: { env: { dedup: { CHOWHOUND_DEDUP_INDEX_KEYS: String(INDEX_KEYS) } } },
  async run({ mesh, faults, fault, note, random, recovered, underLoad }) {
    const plan = planRecords({ name: "hours", keys: 300, random: createRandom(random.below(2 ** 31)) });
    const calls = Array.from({ length: CALLS }, () =>
      Array.from({ length: CALL_RECORDS }, (_, i) =>
        i % 2 === 0 ? plan.next().value : withUuid(plan.next().value),
      ),
    );
    const sendAll = async (all: readonly KnownRecord[][]): Promise<void> => {
      const producer = mesh.producers[0]!;
      for (const records of all) await producer.send(records);
      await untilDrained(mesh);
    };
    const read = () => mesh.withBooks((books) => books.read());
    /** In another order and other calls than the first time; nothing may come of it. */
    const sendAllAgain = async (when: string): Promise<void> => {
      await untilDrained(mesh);
      const before = await read();
      const records = random.shuffle(calls.flat());
      await sendAll(calls.map((_, i) => records.slice(i * CALL_RECORDS, (i + 1) * CALL_RECORDS)));
      const after = await read();
      const again = after.accepted - before.accepted;
      note(`${again} records again, ${when}: ${after.duplicate - before.duplicate} dropped on the way`);
      assert.ok(again >= 0.9 * calls.flat().length, "they were not accepted again");
      assert.equal(after.stored - before.stored, 0, `new rows, ${when}`);
      assert.equal(after.updated - before.updated, 0, `rows were replaced, ${when}`);
    };

    await sendAll(calls);
    await sendAllAgain("at once");

    for (const process of ["store", "dedup", "enricher", "gateway", "nats", "postgres"])
      await faults.restart(process);
    await recovered();
    await sendAllAgain("after a restart of everything");

    await underLoad((load) => load.untilAccepted(3 * INDEX_KEYS));
    await sendAllAgain("with others in the index");

    await faults.kill("dedup");
    fault("the index is lost");
    await rm(join(mesh.dataDir, "dedup"), { recursive: true, force: true });
    await faults.start("dedup");
    await sendAllAgain("with an empty index");
  },
};
