import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { auditTruthfully } from "./harness/audits.ts";
import type { LedgerSnapshot } from "./harness/ledger.ts";
import type { Load } from "./harness/load.ts";
import type { Scenario } from "./harness/scenario.ts";
import { writeOffMissing } from "./harness/write-off.ts";

export const scenario: Scenario = {
  title:
    "the database is set back to an older backup, then wiped, while producers go on and dedup keeps its index; what had a receipt is sent again",
  mesh: {},
  async run({ mesh, database, underLoad, recovered }) {
    const { ledger } = mesh;
    const nothing = ledger.snapshot();
    /**
     * The database is as it was then: of what came since nobody knows what is still on its way. All is sent again, in its order, beside
     * the new records.
     */
    const setBack = async (
      load: Load,
      snapshot: LedgerSnapshot,
      { newOnesFirstMs = 0 } = {},
    ): Promise<void> => {
      ledger.setBack(snapshot, { inDoubt: snapshot });
      await sleep(newOnesFirstMs);
      await load.sendAgain();
      await writeOffMissing(mesh);
      await recovered();
      await load.untilAccepted(1_000);
    };

    await underLoad(
      async (load) => {
        await load.untilAccepted(1_000);
        const backedUp = ledger.snapshot();
        // All of that is booked, then, and will be in the backup; of what comes meanwhile some is.
        assert.equal(await auditTruthfully(mesh), "closed");
        await database.backUp();
        await load.untilAccepted(2_000);
        await recovered();

        await database.restore();
        await setBack(load, backedUp);

        await database.restore();
        await setBack(load, backedUp, { newOnesFirstMs: 2_000 });

        await database.wipe();
        await setBack(load, nothing);
      },
      // Many keys, so that few are written again by new records.
      { pauseMs: 150, keys: 500 },
    );
  },
};
