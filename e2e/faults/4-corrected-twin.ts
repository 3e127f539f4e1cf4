import { randomUUID } from "node:crypto";
import { untilDrained } from "./harness/judge.ts";
import { knownRecord } from "./harness/known-records.ts";
import type { Scenario } from "./harness/scenario.ts";

const source = { sourceType: "note", sourceId: "twins" };

export const scenario: Scenario = {
  title: "a conflict and a dead letter are sent again, corrected or as they were, and land",
  isFast: true,
  async run({ mesh, database, recovered }) {
    const producer = mesh.producers[0]!;

    // The uuid is another record's. Without it, the same record has nothing against it.
    const uuid = randomUUID();
    const owner = knownRecord({ ...source, dataId: "owner" }, 1);
    const conflicting = knownRecord({ ...source, dataId: "twin" }, 1, "conflicts");
    await producer.send([{ ...owner, init: { ...owner.init, uuid } }]);
    await untilDrained(mesh);
    for (let attempt = 0; attempt < 2; attempt++)
      await producer.send([{ ...conflicting, init: { ...conflicting.init, uuid } }]);
    await untilDrained(mesh);
    await producer.send([knownRecord({ ...source, dataId: "twin" }, 1)]);
    await recovered();

    // What the database refused was the database's doing, and once that is mended the same record is welcome.
    const refused = { ...source, dataId: "poison-twin" };
    const accept = await database.refuseRows("poison-%");
    await producer.send([knownRecord(refused, 1, "dies")]);
    await untilDrained(mesh);
    await accept();
    await producer.send([{ ...knownRecord(refused, 1, "dies"), fate: "lands" }]);
    await recovered();
  },
};
