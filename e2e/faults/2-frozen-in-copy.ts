import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { auditTruthfully } from "./harness/audits.ts";
import { inCopy } from "./harness/moments.ts";
import type { Scenario } from "./harness/scenario.ts";

const ENDED = "ended the session of a writer that stood still";
const STORES = ["store", "store-2"];

export const scenario: Scenario = {
  title:
    "one of two stores is frozen in the midst of a COPY; the other one takes over its batches while it stands still",
  mesh: { replicas: { store: 2 } },
  async run({ mesh, underLoad, faults, recovered, note, isFull }) {
    await underLoad(async (load) => {
      for (const [frozen, other] of isFull ? [STORES, STORES.toReversed()] : [STORES]) {
        const held = await faults.holdAt(frozen!, inCopy);
        faults.freeze(frozen!);
        // All that was accepted by now: also what the frozen one has claimed.
        assert.equal(await auditTruthfully(mesh, { through: other! }), "closed");
        const log = await readFile(mesh.process(other!).logFile, "utf8");
        assert.ok(log.includes(ENDED), `${other} has ended no session`);
        note(`the books are closed while ${frozen} stands still`);
        await recovered();

        held.release();
        faults.thaw(frozen!);
        await recovered();
        // What it held it lets go, and works on.
        await faults.pause(other!);
        await load.untilAccepted(200);
        await recovered();
        await faults.resume(other!);
      }
    });
  },
};
