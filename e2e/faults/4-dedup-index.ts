import assert from "node:assert/strict";
import { copyFile, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Scenario } from "./harness/scenario.ts";
import { createSentCalls } from "./harness/sent-calls.ts";

export const scenario: Scenario = {
  title: "dedup's index is lost, rolled back to an old copy, and corrupted; all is sent again each time",
  // What is sent again is to meet dedup.
  mesh: { env: { gateway: { CHOWHOUND_RECALL_RECORDS: "0" } } },
  async run({ mesh, faults, fault, recovered, random }) {
    const snapshot = join(mesh.dataDir, "dedup", "chowhound.fingerprints");
    const oldCopy = `${snapshot}.old`;
    const { sendMore, sendAllAgain } = createSentCalls(mesh, "index", random);
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
