import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { knownRecord } from "./harness/known-records.ts";
import type { Scenario } from "./harness/scenario.ts";

const BATCHES = 10;
const HELD_MS = 20_000;

export const scenario: Scenario = {
  title: "the store holds batches for ten times ack_wait while PostgreSQL is away, and has room for more",
  async run({ mesh, faults, recovered, note }) {
    const before = await mesh.streams();
    await faults.kill("postgres");
    for (let batch = 0; batch < BATCHES; batch++) {
      const place = { sourceType: "note", sourceId: "held", dataId: `held-${batch}` };
      await mesh.producers[0]!.send([knownRecord(place, 1)]);
    }
    await sleep(HELD_MS);

    // A batch that is held is reported in progress, or it would be delivered again every ack_wait.
    const { unique } = await mesh.streams();
    note(`${unique.messages} batches are held, ${unique.redelivered} were delivered again`);
    assert.equal(unique.redelivered, 0);
    assert.ok(unique.lastSequence - before.unique.lastSequence <= BATCHES, "messages have multiplied");

    await faults.start("postgres");
    await recovered();
  },
};
