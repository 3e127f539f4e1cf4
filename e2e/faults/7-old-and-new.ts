import { readFile } from "node:fs/promises";
import { ALL, deadLettersAt } from "../dead-letter-calls.ts";
import { oldSoftware } from "./harness/old-software.ts";
import { waitUntil } from "./harness/patience.ts";
import type { Scenario } from "./harness/scenario.ts";

/** Before there were replays: what a replay looks like, it doesn't know. */
const OLD = "251a3a4";
const OLD_STAGES = ["enricher", "dedup"];

let software: string | undefined;

export const scenario: Scenario = {
  title: "old and new replicas side by side; what only the new ones understand is left to them",
  needsCommit: OLD,
  mesh: {
    replicas: { enricher: 2, dedup: 2 },
    // What has been sent before goes on as something that the old ones don't know either.
    env: { gateway: { CHOWHOUND_RECALL_RECORDS: "0" } },
    software: (process) => {
      if (!process.endsWith("-2")) return undefined;
      software ??= oldSoftware(OLD);
      return software;
    },
  },
  async run({ mesh, faults, underLoad, recovered, note }) {
    const countGivenBack = async (process: string): Promise<number> =>
      (await readFile(mesh.process(process).logFile, "utf8")).split("newer software").length - 1;
    const replayAll = async (): Promise<void> => {
      const letters = deadLettersAt(mesh.endpoints.admin.store!);
      try {
        await letters.replay(ALL);
      } finally {
        letters.close();
      }
    };
    await underLoad(async (load) => {
      for (const stage of OLD_STAGES) {
        await load.untilAccepted(1_000);
        // Only the old one works now. What new enrichers put together only new dedups understand: a rollout replaces those first.
        const paused = stage === "dedup" ? OLD_STAGES : [stage];
        for (const one of paused) await faults.pause(one);
        const before = await countGivenBack(`${stage}-2`);
        await load.untilAccepted(500);
        await recovered();
        await replayAll();
        await waitUntil(`${stage}-2 has given a replay back`, {
          isDone: async () => (await countGivenBack(`${stage}-2`)) > before,
          progress: async () => (await mesh.streams()).enriched.lastSequence,
        });
        await recovered();
        for (const one of paused) await faults.resume(one);
        await recovered();
        note(`${await countGivenBack(`${stage}-2`)} times given back by ${stage}-2`);
      }
    });
    note("the rollout ends");
    for (const stage of OLD_STAGES) await mesh.process(`${stage}-2`).stop();
  },
};
