import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { waitUntil } from "./harness/patience.ts";
import type { Scenario } from "./harness/scenario.ts";

export const scenario: Scenario = {
  title: "statements run into their timeout while another session locks the table",
  async run({ mesh, underLoad, database, recovered }) {
    const countTimeouts = async (): Promise<number> =>
      (await readFile(mesh.process("store").logFile, "utf8")).split("statement timeout").length - 1;
    const before = await countTimeouts();
    await underLoad(async () => {
      const unlock = await database.lockRecords();
      await waitUntil("a statement has timed out", {
        isDone: async () => (await countTimeouts()) > before,
        progress: async () => mesh.ledger.accepted,
      });
      await unlock();
      await recovered();
    });
    assert.ok((await countTimeouts()) > before);
  },
};
