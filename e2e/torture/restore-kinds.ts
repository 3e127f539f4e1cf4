import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import type { FaultMesh } from "../faults/harness/fault-mesh.ts";
import { waitUntil } from "../faults/harness/patience.ts";
import { auditToItsEnd, writeOffMissing } from "../faults/harness/write-off.ts";
import { type FaultKind, lasting, type Stage } from "./fault-kind.ts";
import { sendOwners } from "./owners.ts";
import { forgetWhatWasOwed } from "./rest.ts";
import { untilDone } from "./until-done.ts";

/** The database loses what it had, while batches are on their way, and dedup and the gateways keep what they know; then all is sent again. */

/** Batches that are booked and lost: of so many some are acknowledged, and don't come again by themselves. */
const LOST_BATCHES = 20;

export const restoreDatabase: FaultKind = (kind, random) => {
  const laterMs = lasting(random);
  return {
    kind,
    what: `${kind} to a backup that is ${laterMs} ms old`,
    uses: ["postgres", "books"],
    async play(stage) {
      const { mesh, rest } = stage;
      await backUpAndRestore(stage, laterMs);
      mesh.ledger.setBack(rest.owed, { inDoubt: rest.owed });
      await makeUp(stage, rest.lastNumber);
    },
  };
};

/** The database is as it was that long ago, and nobody is told. */
export async function backUpAndRestore({ mesh, database }: Stage, laterMs: number): Promise<void> {
  await database.backUp();
  const booked = await countBooked(mesh);
  await Promise.all([
    sleep(laterMs),
    waitUntil("batches are booked that the backup doesn't have", {
      isDone: async () => (await countBooked(mesh)) >= booked + LOST_BATCHES,
      progress: () => countBooked(mesh),
      pollMs: 200,
    }),
  ]);
  await database.restore();
}

export const wipeDatabase: FaultKind = (kind) => ({
  kind,
  what: kind,
  // A replay that is on its way would bring letters of which the ledger knows nothing any more.
  uses: ["postgres", "books", "letters"],
  forgetsOwners: true,
  async play(stage) {
    const { mesh, database, rest } = stage;
    const { findings } = await auditToItsEnd(mesh);
    assert.equal(findings.length, 0, "the books were not closed before the database was wiped");
    await database.wipe();
    mesh.ledger.setBack(rest.nothing, { inDoubt: rest.owed });
    forgetWhatWasOwed(rest);
    await sendOwners(mesh);
    await makeUp(stage, 0);
  },
});

/**
 * All is sent again that producers have sent since everything was known to be booked: what is older is in the backup, or nobody has
 * it any more. Then the audit must miss something, and nothing of what was booked by `after`; it is written off. Producers begin nothing
 * new meanwhile: each number that is written off waits until all that is under way is booked.
 */
async function makeUp({ mesh, rest, note }: Stage, after: number): Promise<void> {
  const { loads } = rest;
  const catchUp = async (): Promise<void> => {
    note(`all is sent again: ${loads.map(({ name }) => name).join(", ")}`);
    await Promise.all(loads.map((load) => load.sendAgain()));
    note("all was sent again");
    const missing = await writeOffMissing(mesh);
    const count = missing.reduce((sum, { first, last }) => sum + last - first + 1n, 0n);
    note(`the audit missed ${count} numbers, ${missing[0]?.first} to ${missing.at(-1)?.last}`);
    const early = missing.filter(({ first }) => first <= after);
    assert.deepEqual(early, [], `numbers up to ${after} were booked before the backup`);
  };
  await loads.reduceRight((action, load) => () => load.whileResting(action), catchUp)();
}

function countBooked(mesh: FaultMesh): Promise<number> {
  return untilDone("the books are read", () =>
    mesh.withBooks(async (books) => (await books.read()).invoices),
  );
}
