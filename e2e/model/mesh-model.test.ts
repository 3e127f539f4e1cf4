import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  BOOKED_ANEW_AND_EMPTY,
  BOOKED_ANEW_BEFORE_A_RESTART,
  BOOKED_WITHOUT_WHAT_WAS_DROPPED,
  REPLACED_UNDER_A_KEY_THAT_IS_LEFT,
} from "./found-histories.ts";
import { type History, histories, live } from "./history.ts";
import { REAL_RULES, type Rules } from "./rules.ts";

const RUNS = 1_500;
/** A broken rule shows long before; this is where looking for it ends. */
const MAX_RUNS_OF_A_MUTANT = 2_000;
const TIMEOUT_MS = 120_000;
const FOUND: [History][] = [
  [BOOKED_ANEW_AND_EMPTY],
  [BOOKED_ANEW_BEFORE_A_RESTART],
  [BOOKED_WITHOUT_WHAT_WAS_DROPPED],
  [REPLACED_UNDER_A_KEY_THAT_IS_LEFT],
];

describe("the model of the mesh", () => {
  it(
    "INV-1 to INV-4: whatever happens in between, the books close and the greatest record of each key is the row",
    async () => {
      const seen = new Map<string, number>();
      const property = fc.asyncProperty(histories(), async (history) => {
        const { mesh, troubles } = await live(history);
        for (const [what, times] of mesh.seen) seen.set(what, (seen.get(what) ?? 0) + times);
        expect(troubles).toEqual([]);
      });
      await fc.assert(property, { numRuns: RUNS, examples: FOUND });
      // Histories that meet nothing show nothing.
      for (const what of [
        "kill",
        "redeliver",
        "restore",
        "restart the database",
        "lose an answer",
        "already_booked",
        "dropped",
        "recalled",
      ])
        expect(seen.get(what), what).toBeGreaterThan(RUNS / 20);
    },
    TIMEOUT_MS,
  );
});

describe("the model finds it when", () => {
  const mutants: [string, Partial<Rules>][] = [
    ["dedup drops what it has itself passed on", { evidence: "published" }],
    ["dedup doesn't ask which database it is", { asksTheDatabase: false }],
    ["the gateway doesn't ask which database it is", { gatewayAsksTheDatabase: false }],
    ["the gateway doesn't ask which pipelines are in force", { gatewayKnowsThePipelines: false }],
    ["a batch booked anew counts as evidence", { countsBookings: "any" }],
    [
      "a batch booked anew counts as evidence as soon as the database has restarted",
      { countsBookings: "from before" },
    ],
    ["dedup remembers what it knew when rows have moved to other keys", { forgetsAfterMoves: false }],
    [
      "a stage acknowledges before it has published, the store before it has committed",
      { acknowledges: "beforehand" },
    ],
    ["the store reports what was dropped as committed", { reports: "booked" }],
    ["the store books a batch as often as it comes", { claims: false }],
    [
      "of two records of one time the first stays",
      { ordersBy: (record) => ({ ...record, contentHash: Buffer.alloc(16) }) },
    ],
    ["what comes last wins", { ordersBy: (record) => ({ ...record, versionUs: 0n }) }],
  ];

  it.each(mutants)(
    "%s",
    async (_, broken) => {
      const rules = { ...REAL_RULES, ...broken };
      const property = fc.asyncProperty(histories(), async (history) => {
        expect((await live(history, rules)).troubles).toEqual([]);
      });
      const isRare = ["countsBookings", "forgetsAfterMoves", "reports"].some((rule) => rule in broken);
      const examples = isRare ? FOUND : [];
      const options = { numRuns: MAX_RUNS_OF_A_MUTANT, endOnFailure: true, examples };
      expect((await fc.check(property, options)).failed).toBe(true);
    },
    TIMEOUT_MS,
  );
});
