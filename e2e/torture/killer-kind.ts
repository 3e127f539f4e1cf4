import assert from "node:assert/strict";
import {
  countKillers,
  KILLER_SOURCE,
  KILLING_STEPS,
  supervise,
  withPages,
} from "../faults/harness/killer-record.ts";
import { knownRecord } from "../faults/harness/known-records.ts";
import { waitUntil } from "../faults/harness/patience.ts";
import { applyPipeline, untilInForce } from "../faults/harness/pipelines.ts";
import type { FaultKind, Stage } from "./fault-kind.ts";

/** What an enricher may have; it is far more than the loads need. */
export const ENRICHER_HEAP_MIB = 320;
/** As many as an expression takes. */
const PAGES = 1_000;
/** Joined to itself so many times it is more than that, and less than the longest string there can be. */
const HEAVY_BYTES = 400_000;
const ENRICHERS = ["enricher", "enricher-2"];
const NEIGHBOURS = 100;
/** Three that find a suspect, and what a process that starts has before it is ready. */
const MAX_CRASHES = 5;

/** A record makes each enricher that gets it run out of memory, until it is found; its neighbours land. */
export const killerRecord: FaultKind = (kind, random) => {
  const name = `tome-${random.below(2 ** 31)}`;
  const place = random.below(NEIGHBOURS);
  return {
    kind,
    what: `${kind} ${name}`,
    uses: [...ENRICHERS, "nats", "books", "letters"],
    async play(stage) {
      const { mesh, faults, watch, note } = stage;
      const records = Array.from({ length: NEIGHBOURS }, (_, i) =>
        withPages(knownRecord({ ...KILLER_SOURCE, dataId: `${name}-${i}` }, 1), 3),
      );
      // Without data_id: replayed under a mended pipeline it is a dead letter still.
      const killer = withPages(
        knownRecord({ ...KILLER_SOURCE, dataId: name }, 1, "dies"),
        PAGES,
        HEAVY_BYTES,
      );
      records.splice(place, 0, { ...killer, init: { ...killer.init, dataId: "" } });

      await apply(stage, KILLING_STEPS);
      await watch.whileCrashing(ENRICHERS, async () => {
        const before = await countKillers(mesh);
        const supervisor = supervise(mesh, faults, ENRICHERS, note);
        await mesh.producers[0]!.send(records);
        await waitUntil("what kills is a dead letter", {
          isDone: async () => (await countKillers(mesh).catch(() => before)) > before,
          progress: async () => supervisor.crashes,
        });
        await supervisor.stop();
        const { crashes } = supervisor;
        note(`${crashes} crashes until it was found`);
        assert.ok(crashes > 0, "nothing was killed");
        assert.ok(crashes <= MAX_CRASHES, `it was not contained: ${crashes} crashes`);
      });
      await apply(stage, ["- set: { values: { metadata.mended: true } }"]);
    },
  };
};

async function apply({ mesh }: Stage, steps: string[]): Promise<void> {
  const { sourceType } = KILLER_SOURCE;
  const version = await applyPipeline(mesh, { sourceType, steps });
  for (const enricher of ENRICHERS) await untilInForce(mesh, enricher, { sourceType, version });
}
