import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { auditMesh } from "@chowhound/local/audit";
import { AuditVerdict } from "@chowhound/shared/contracts/chowhound/v1/audit_service";
import { inCopy } from "./harness/moments.ts";
import type { Scenario } from "./harness/scenario.ts";

const ENDED = "ended the session of a writer that stood still";
/** How long a writer may stand still, and what it takes to find out and to work off what was held up. */
const AUDIT_SECONDS = 60n;

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
        const { verdict, stall } = await auditMesh(mesh.endpoints.admin[other!]!, {
          timeout: { seconds: AUDIT_SECONDS },
        });
        assert.equal(verdict, AuditVerdict.CLOSED, `while ${frozen} is frozen the audit says: ${stall?.why}`);
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

const STORES = ["store", "store-2"];
