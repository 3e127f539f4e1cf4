import { setTimeout as sleep } from "node:timers/promises";
import { afterPublish } from "../faults/harness/moments.ts";
import { type FaultKind, lasting, type Stage } from "./fault-kind.ts";

const MOMENT_PATIENCE_MS = 10_000;

/** One replica after the other is replaced by older software, and then by today's: for a while both are side by side. */
export const rollout: FaultKind = (kind, random) => {
  const service = random.pick(["gateway", "enricher", "dedup", "store"]);
  const steps = ["setOld", "setNew"] as const;
  const replacements = steps.flatMap((set) =>
    random.shuffle([service, `${service}-2`]).map((process) => ({
      set,
      process,
      lastsMs: lasting(random) / 2,
      tag: `tag-${random.below(2 ** 31)}`,
    })),
  );
  return {
    kind,
    what: `${kind} of ${replacements.map(({ set, process }) => `${set === "setOld" ? "old" : "new"} ${process}`).join(", ")}`,
    uses: [service, `${service}-2`, ...(service === "enricher" ? ["pipeline"] : [])],
    async play(stage) {
      const { software, faults, note } = stage;
      if (!software.hasOld) note("there is no older software in this checkout: replaced by the same");
      for (const { set, process, lastsMs, tag } of replacements) {
        software[set](process);
        if (service === "enricher") await replaceBetweenVersions(stage, process, tag);
        else await faults.restart(process);
        await sleep(lastsMs);
      }
    },
  };
};

/** What it has published and not acknowledged comes again, and meets a newer version of its pipeline at a newer replica. */
async function replaceBetweenVersions(
  { faults, pipelines, note }: Stage,
  process: string,
  tag: string,
): Promise<void> {
  const held = await faults.holdAtWithin(process, afterPublish("enriched"), MOMENT_PATIENCE_MS);
  if (held === undefined) note(`${process} had nothing to do: replaced in an orderly way`);
  await pipelines.apply(tag);
  if (held !== undefined) await faults.kill(process);
  held?.release();
  await (held === undefined ? faults.restart(process) : faults.start(process));
}
