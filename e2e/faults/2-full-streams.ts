import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { untilDrained } from "./harness/judge.ts";
import { waitUntil } from "./harness/patience.ts";
import type { Scenario } from "./harness/scenario.ts";

const ACK_WAIT_MS = 2_000;
const MAX_BYTES = 16 * 2 ** 20;
/** A batch that found no room may be as large as this. */
const BATCH_BYTES = 2 ** 20;
const settings = { CHOWHOUND_STREAM_MAX_BYTES: "16MiB", CHOWHOUND_ACK_WAIT: `${ACK_WAIT_MS}ms` };

export const scenario: Scenario = {
  title: "all streams are full for ten times ack_wait while the store is paused",
  mesh: {
    env: {
      gateway: { CHOWHOUND_STREAM_MAX_BYTES: "16MiB" },
      enricher: settings,
      dedup: settings,
      store: settings,
    },
  },
  async run({ mesh, underLoad, faults, recovered, note }) {
    const large = { padBytes: 6_000, pauseMs: 5, producers: 4 };
    await underLoad(async (load) => {
      await faults.pause("store");
      const bytes = async (): Promise<number[]> =>
        Object.values(await mesh.streams()).map((each) => each.bytes);
      await waitUntil("all streams are full", {
        isDone: async () => (await bytes()).every((each) => each > MAX_BYTES - BATCH_BYTES),
        progress: async () => String(await bytes()),
        pollMs: 200,
      });
      const full = await mesh.streams();
      note(`full: ${full.raw.messages}, ${full.enriched.messages} and ${full.unique.messages} batches`);
      const refused = mesh.ledger.failedCalls;
      await sleep(10 * ACK_WAIT_MS);

      // What waits for room is neither stored twice nor delivered again and again.
      const later = await mesh.streams();
      assert.ok(mesh.ledger.failedCalls > refused, "nobody was refused");
      for (const role of ["enriched", "unique"] as const) {
        const more = later[role].messages - full[role].messages;
        assert.ok(more <= 2, `${role} has ${more} more messages after a while of standing still`);
      }
      const redelivered = Object.values(later).reduce((sum, each) => sum + each.redelivered, 0);
      note(`redelivered after ${10 * ACK_WAIT_MS} ms: ${redelivered}`);
      assert.ok(redelivered <= 10, `${redelivered} messages were delivered again`);

      await faults.resume("store");
      await recovered();
      await load.untilAccepted(200);
    }, large);
    await untilDrained(mesh);
    const { raw, enriched, unique } = await mesh.streams();
    const sequences = [raw, enriched, unique].map(({ lastSequence }) => lastSequence);
    note(`batches that passed the streams: ${sequences.join(", ")}`);
    // Catching up keeps a small machine so busy that some acknowledgements are late.
    assert.ok(
      unique.lastSequence <= raw.lastSequence * 1.25,
      `messages have multiplied: ${sequences.join(", ")}`,
    );
  },
};
