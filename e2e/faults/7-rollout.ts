import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { SERVICES } from "@chowhound/local/mesh-service";
import { oldSoftware } from "./harness/old-software.ts";
import { waitUntil } from "./harness/patience.ts";
import type { Scenario } from "./harness/scenario.ts";

/** Before the books kept how far RAW had come, and before batches were packed: two migrations of the schema ago. */
const PREVIOUS = "6eb67a8";

/** What a process runs from then on is this checkout. */
const replaced = new Set<string>();
let previous: string | undefined;

export const scenario: Scenario = {
  title:
    "a rollout: replica by replica, the stores first and the gateways last, the previous version is replaced by this one, whose store migrates the schema",
  needsCommit: PREVIOUS,
  mesh: {
    replicas: { gateway: 2, enricher: 2, dedup: 2, store: 2 },
    software: (process) => {
      if (replaced.has(process)) return undefined;
      previous ??= oldSoftware(PREVIOUS);
      return previous;
    },
  },
  async run({ mesh, faults, underLoad, recovered, note }) {
    const readSchema = (): Promise<number> =>
      mesh.withBooks(async ({ query }) => {
        const [row] = await query<{ number: number }>("select max(number) as number from schema_migrations");
        return row!.number;
      });
    const replace = async (process: string): Promise<void> => {
      replaced.add(process);
      await faults.restart(process);
      note(`${process} is of this version, and the schema is at ${await readSchema()}`);
    };
    /** A store that has to connect anew to a schema that it doesn't know stays away; stopped, it gives back what it holds. */
    const loseForGood = async (store: string): Promise<void> => {
      faults.cut(store, "postgres");
      await waitUntil(`${store} refuses the newer schema`, {
        isDone: async () =>
          (await readFile(mesh.process(store).logFile, "utf8")).includes(
            "run a newer store, or another database",
          ),
        progress: async () => mesh.ledger.accepted,
      });
    };
    const before = await readSchema();
    await underLoad(
      async (load) => {
        for (const service of SERVICES.toReversed()) {
          await replace(`${service}-2`);
          await load.untilAccepted(500);
          await recovered();
          // Each of the two alone, beside old and new neighbours; the gateways have producers of their own.
          for (const away of service === "gateway" ? [] : [`${service}-2`, service]) {
            await faults.pause(away);
            await load.untilAccepted(300);
            await recovered();
            await faults.resume(away);
          }
          if (service === "store") await loseForGood("store");
          await replace(service);
          await load.untilAccepted(300);
          await recovered();
        }
      },
      { producers: mesh.producers.length, pauseMs: 250 },
    );
    assert.ok((await readSchema()) > before, "this version has not migrated the schema");
  },
};
