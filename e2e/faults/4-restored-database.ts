import { untilDrained } from "./harness/judge.ts";
import type { Scenario } from "./harness/scenario.ts";
import { createSentCalls } from "./harness/sent-calls.ts";
import { writeOffMissing } from "./harness/write-off.ts";

export const scenario: Scenario = {
  title:
    "the database is set back to an older backup, also with batches on their way, then wiped, while dedup keeps its index; all is sent again",
  mesh: {},
  async run({ mesh, database, faults, recovered, random }) {
    const { sendMore, sendAllAgain } = createSentCalls(mesh, "restored", random);

    const nothing = mesh.ledger.snapshot();
    await sendMore();
    await database.backUp();
    const backedUp = mesh.ledger.snapshot();
    await sendMore();

    await database.restore();
    mesh.ledger.setBack(backedUp);
    await sendAllAgain();
    await writeOffMissing(mesh);
    await recovered();

    // On their way are batches from which dedup has dropped what the database had, and will not have any more.
    await sendMore();
    await faults.pause("store");
    const heldUp = mesh.ledger.snapshot();
    await sendAllAgain({ isHeldUp: true });
    await database.restore();
    mesh.ledger.setBack(backedUp, { heldUp });
    await faults.resume("store");
    await untilDrained(mesh);
    // What was booked anew is then of an earlier generation.
    await faults.restart("postgres");
    await sendAllAgain();
    await writeOffMissing(mesh);
    await recovered();

    await database.wipe();
    mesh.ledger.setBack(nothing);
    await sendAllAgain();
    await writeOffMissing(mesh);
    await recovered();
  },
};
