import assert from "node:assert/strict";
import { copyFile, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { untilDrained } from "./harness/judge.ts";
import { type KnownRecord, planRecords } from "./harness/known-records.ts";
import { createRandom } from "./harness/random.ts";
import type { Scenario } from "./harness/scenario.ts";

const CALL_RECORDS = 50;

export const scenario: Scenario = {
  title: "dedup's index is lost, rolled back to an old copy, and corrupted; all is sent again each time",
  async run({ mesh, faults, fault, recovered, random }) {
    const snapshot = join(mesh.dataDir, "dedup", "chowhound.fingerprints");
    const oldCopy = `${snapshot}.old`;
    const producer = mesh.producers[0]!;
    const calls: KnownRecord[][] = [];
    const plan = planRecords({ name: "index", keys: 60, random: createRandom(random.below(2 ** 31)) });
    const sendMore = async (): Promise<void> => {
      for (let call = 0; call < 10; call++) {
        calls.push(Array.from({ length: CALL_RECORDS }, () => plan.next().value));
        await producer.send(calls.at(-1)!);
      }
      await untilDrained(mesh);
    };
    const sendAllAgain = async (): Promise<void> => {
      for (const records of calls) await producer.send(records);
      await untilDrained(mesh);
    };
    const countDuplicates = () => mesh.withBooks(async (books) => (await books.read()).duplicate);

    await sendMore();
    const before = await countDuplicates();
    await sendAllAgain();
    assert.ok((await countDuplicates()) > before, "dedup drops nothing: there is no index to break");

    // An orderly restart saves the index.
    await faults.restart("dedup");
    await copyFile(snapshot, oldCopy);
    await sendMore();
    await faults.restart("dedup");
    await sendAllAgain();

    const breakIndex: Record<string, () => Promise<void>> = {
      "the index is rolled back to an old copy": () => copyFile(oldCopy, snapshot),
      "the index is corrupted in the middle": async () => {
        const bytes = await readFile(snapshot);
        for (let i = 0; i < 64; i++) bytes[(bytes.length >> 1) + i]! ^= 0xff;
        await writeFile(snapshot, bytes);
      },
      "the index is cut off": async () => {
        const bytes = await readFile(snapshot);
        await writeFile(snapshot, bytes.subarray(0, bytes.length - 100));
      },
      "the index is lost": () => rm(snapshot),
    };
    for (const [what, breakIt] of Object.entries(breakIndex)) {
      await faults.restart("dedup");
      await faults.kill("dedup");
      await breakIt();
      fault(what);
      await faults.start("dedup");
      await sendAllAgain();
      await sendMore();
      await recovered();
    }
  },
};
