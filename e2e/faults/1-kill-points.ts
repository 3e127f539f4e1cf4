import type { Moment } from "./harness/fault-proxy.ts";
import {
  afterCommit,
  afterPublish,
  beforeAcknowledging,
  beforeBooks,
  beforeCommit,
  beforePublish,
  beforeRows,
} from "./harness/moments.ts";
import type { Scenario } from "./harness/scenario.ts";

/** Every boundary in the way of a batch: what is done on one side of it and not yet known on the other. */
const BOUNDARIES: readonly (readonly [service: string, moment: Moment])[] = [
  ["gateway", afterPublish("raw")],
  ["enricher", afterPublish("enriched")],
  ["dedup", beforeAcknowledging("enriched")],
  ["store", afterCommit],
  ["store", beforeCommit],
  ["gateway", beforePublish("raw")],
  ["enricher", beforePublish("enriched")],
  ["enricher", beforeAcknowledging("raw")],
  ["dedup", beforePublish("unique")],
  ["dedup", afterPublish("unique")],
  ["store", beforeRows],
  ["store", beforeBooks],
  ["store", beforeAcknowledging("unique")],
];
const FAST = 5;

export const scenario: Scenario = {
  title: "each service is killed at each boundary of its work",
  isFast: true,
  async run({ underLoad, faults, recovered, isFull }) {
    await underLoad(async () => {
      for (const [service, moment] of isFull ? BOUNDARIES : BOUNDARIES.slice(0, FAST)) {
        await faults.killAt(service, moment);
        await faults.start(service);
        await recovered();
      }
    });
  },
};
