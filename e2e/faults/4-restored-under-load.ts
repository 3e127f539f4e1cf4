import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { auditTruthfully } from "./harness/audits.ts";
import type { LedgerSnapshot } from "./harness/ledger.ts";
import type { Scenario } from "./harness/scenario.ts";
import { writeOffMissing } from "./harness/write-off-missing.ts";

export const scenario: Scenario = {
  title:
    "the database is set back to an older backup, then wiped, while producers go on and dedup keeps its index; what had a receipt is sent again",
  mesh: {},
  async run({ mesh, database, underLoad, recovered, note }) {
    const { ledger, producers } = mesh;
    const nothing = ledger.snapshot();
    const sent = ledger.remember();
    /**
     * The database is as it was then: of what came since nobody knows what is still on its way. Producers that keep what they have
     * sent send all of that again, in its order, beside the new records.
     */
    const setBack = async (
      snapshot: LedgerSnapshot,
      { already = 0, newOnesFirstMs = 0 } = {},
    ): Promise<void> => {
      ledger.setBackUnderLoad(snapshot);
      const calls = [...sent].slice(already);
      await sleep(newOnesFirstMs);
      for (const [records, tenant] of calls)
        await producers.find((producer) => producer.tenant === tenant)!.send(records);
      note(`${calls.length} calls were sent again`);
      await writeOffMissing(mesh);
      await recovered();
    };

    await underLoad(
      async (load) => {
        await load.untilAccepted(1_000);
        const backedUp = ledger.snapshot();
        const already = sent.size;
        // All of that is booked, then, and will be in the backup; of what comes meanwhile some is.
        assert.equal(await auditTruthfully(mesh), "closed");
        await database.backUp();
        await load.untilAccepted(2_000);
        await recovered();

        await database.restore();
        await setBack(backedUp, { already });
        await load.untilAccepted(1_000);

        await database.restore();
        await setBack(backedUp, { already, newOnesFirstMs: 2_000 });
        await load.untilAccepted(1_000);

        await database.wipe();
        await setBack(nothing);
        await load.untilAccepted(1_000);
      },
      // Many keys, so that few are written again by new records.
      { pauseMs: 150, keys: 500 },
    );
  },
};
