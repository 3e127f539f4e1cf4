import { setTimeout as sleep } from "node:timers/promises";
import { probe } from "../faults/harness/probe.ts";
import type { PlannedFault, Stage } from "./fault-kind.ts";
import type { RoundPlan } from "./plan.ts";
import { Turns } from "./turns.ts";

/** A fault that has been played. */
export interface PlayedFault {
  kind: string;
  /** From its end until a record sent then was a row; undefined where another fault was in the way. */
  recoveryMs: number | undefined;
}

/** Plays the faults of a round, each at its moment, unless one before it has what it needs. */
export async function playFaults(stage: Stage, { number, faults }: RoundPlan): Promise<PlayedFault[]> {
  const turns = new Turns();
  let begun = 0;
  let underWay = 0;

  const play = async (fault: PlannedFault, afterMs: number, index: number): Promise<PlayedFault> => {
    await sleep(afterMs);
    await turns.take(fault.uses, async () => {
      begun++;
      underWay++;
      stage.note(fault.what);
      await fault.play(stage);
      underWay--;
    });
    const [begunBefore, isAlone] = [begun, underWay === 0];
    const tookMs = await probe(stage.mesh, `probe-${number}-${index}`);
    const isMeasured = isAlone && begun === begunBefore;
    stage.note(
      `${fault.kind} is over${isMeasured ? `, a record landed after ${Math.round(tookMs)} ms` : ""}`,
    );
    return { kind: fault.kind, recoveryMs: isMeasured ? tookMs : undefined };
  };
  return Promise.all(faults.map(({ fault, afterMs }, index) => play(fault, afterMs, index)));
}
