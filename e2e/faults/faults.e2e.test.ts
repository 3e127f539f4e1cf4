import { afterAll, describe, expect, inject, it } from "vitest";
import { ScenarioRunner } from "./harness/run-scenario.ts";
import { loadScenarios } from "./load-scenarios.ts";
import { reasonToSkip } from "./skip.ts";

const SEED = 20260101;
const PATIENCE_MS = 300_000;

/** What is done in seconds; `npm run faults` plays all. */
const scenarios = (await loadScenarios()).filter(({ scenario }) => scenario.isFast === true);
const runner = new ScenarioRunner({ seed: SEED, isFull: false });
afterAll(() => runner.close());

describe("INV-1 to INV-4 hold when", () => {
  for (const { name, scenario } of scenarios) {
    it(
      scenario.title,
      async (context) => {
        const nats = { version: inject("natsVersion"), crashSafe: inject("natsIsCurrent") };
        const skipped = reasonToSkip(scenario, nats);
        context.skip(skipped !== undefined, skipped);
        const { problems, journal } = await runner.run(name, scenario);
        expect(problems, journal.join("\n")).toEqual([]);
      },
      PATIENCE_MS,
    );
  }
});
