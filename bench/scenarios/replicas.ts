import { compareMeshes } from "../measure-fresh.ts";
import { loadTable } from "../report/load-table.ts";
import type { Scenario } from "../scenario.ts";

const RECORDS = { full: 100_000, quick: 10_000 };
const FOUR = { gateway: 4, enricher: 4, dedup: 4, store: 4 };
const KINDS = { one: {}, four: { replicas: FOUR } };

export const replicas: Scenario = {
  name: "replicas",
  isUsual: false,
  about: "new records on two fresh meshes, in turn: one process of each service, and four of each",
  run: async (context) => {
    const { quick, records = quick ? RECORDS.quick : RECORDS.full, rounds = quick ? 1 : 3 } = context;
    const found = await compareMeshes(context, KINDS, { name: "replicas", rounds, records });
    const columns = { one: "one of each", four: "four of each" };
    const ratios = [{ to: "one", of: "speed", title: "speed, of the first's" }] as const;
    return { tables: [loadTable(found, { name: "replicas", columns, ratios })], rounds: found };
  },
};
