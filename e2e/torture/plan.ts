import type { NatsServerName } from "../faults/harness/fault-mesh.ts";
import type { LoadOptions } from "../faults/harness/load.ts";
import { createRandom, type Random } from "../faults/harness/random.ts";
import type { FaultKind, PlannedFault } from "./fault-kind.ts";
import { kindsFor } from "./fault-kinds.ts";
import { shapeRecord, shapeWithPadding, withoutUsurpers } from "./shape-record.ts";

/** What one round does, all of it decided by the seed. */
export interface RoundPlan {
  /** From 1. */
  number: number;
  /** How long producers are at work. */
  lengthMs: number;
  /** Some of them may be those of an earlier round, who send the same again. */
  loads: LoadOptions[];
  faults: { afterMs: number; fault: PlannedFault }[];
  /** True: nobody claims the uuid of another, and nothing that does may be on its way. */
  isWithoutUsurpers: boolean;
}

/** One producer per tenant and gateway, so that each gateway has work in every round. */
const PRODUCERS = 6;

/** How producers can behave; a load is one of these. */
const MANNERS: Record<string, Partial<LoadOptions>> = {
  steady: { pauseMs: 80 },
  small: { callRecords: 2, pauseMs: 10 },
  bulk: { callRecords: 500, pauseMs: 2_000, keys: 400 },
  large: { callRecords: 6, pauseMs: 300, keys: 10, shape: shapeWithPadding },
  contended: { callRecords: 20, pauseMs: 80, keys: 2 },
  // Its keys are those that the fault "bad-rows" has refused.
  poison: { callRecords: 20, pauseMs: 300 },
};

/** Apart from a moment's luck nothing else decides what a round does: rounds can be planned, and played, on their own. */
export function planRound(
  seed: number,
  number: number,
  kinds: ReadonlyMap<string, FaultKind>,
  natsServers: readonly NatsServerName[],
): RoundPlan {
  const loads = planLoads(seed, number);
  const random = createRandom(roundSeed(seed, number) + 1);
  if (number > 1 && random.chance(0.4)) loads.push(...planLoads(seed, 1 + random.below(number - 1)));
  const lengthMs = 8_000 + random.below(8_000);
  const names = [...kindsFor(kinds, natsServers.length).keys()];
  const faults = Array.from({ length: 1 + random.below(3) }, () => {
    const kind = random.pick(names);
    return { afterMs: 500 + random.below(lengthMs / 2), fault: kinds.get(kind)!(kind, random, natsServers) };
  });
  const isWithoutUsurpers = faults.some(({ fault }) => fault.forgetsOwners);
  if (isWithoutUsurpers) for (const load of loads) load.shape = withoutUsurpers(load.shape!);
  return { number, lengthMs, loads, faults, isWithoutUsurpers };
}

/** New keys, of this round. */
function planLoads(seed: number, number: number): LoadOptions[] {
  const random: Random = createRandom(roundSeed(seed, number));
  return Array.from({ length: 1 + random.below(2) }, (_, i) => {
    const manner = random.pick(Object.keys(MANNERS));
    return {
      name: `${manner}-${number}-${i}`,
      seed: random.below(2 ** 31),
      producers: PRODUCERS,
      shape: shapeRecord,
      ...MANNERS[manner],
    };
  });
}

function roundSeed(seed: number, number: number): number {
  return seed * 1_000_003 + number * 7_919;
}
