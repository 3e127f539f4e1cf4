import { compareMeshes } from "../measure-fresh.ts";
import { loadTable } from "../report/load-table.ts";
import type { Scenario } from "../scenario.ts";

const RECORDS = { full: 100_000, quick: 10_000 };
const holding = (records: number) => ({
  env: { CHOWHOUND_BATCH_RECORDS: String(records), CHOWHOUND_BATCH_BYTES: "2MiB" },
});
const KINDS = { fifty: holding(50), usual: holding(500), thousand: holding(1000), most: holding(2000) };

export const batches: Scenario = {
  name: "batches",
  isUsual: false,
  about:
    "new records on four fresh meshes, in turn, whose gateway puts at most 50, 500, 1,000 and 2,000 into a batch",
  run: async (context) => {
    const { quick, records = quick ? RECORDS.quick : RECORDS.full, rounds = quick ? 1 : 3 } = context;
    const found = await compareMeshes(context, KINDS, { name: "batches", rounds, records });
    const columns = { fifty: "50", usual: "500", thousand: "1,000", most: "2,000" };
    const ratios = [{ to: "usual", of: "speed", title: "speed, of 500's" }] as const;
    const chart = { speedChart: "Records a second by records in a batch" };
    return { tables: [loadTable(found, { name: "batches", columns, ratios, ...chart })], rounds: found };
  },
};
