import { openBooks } from "@chowhound/local/books";
import type { Mesh } from "@chowhound/local/mesh";
import {
  encodeRequests,
  encodeRequestsWithRepeats,
  encodeUnderOtherUuids,
  REPEATED,
} from "../generate-records.ts";
import { openProducer } from "../load/grpc-producer.ts";
import { copyTable, measureCopies } from "../measure-copies.ts";
import { type Bench, measureLoad } from "../measure-load.ts";
import type { Measurement } from "../measurement.ts";
import { measureNaive } from "../naive/measure-naive.ts";
import { describeLoad, loadTable } from "../report/load-table.ts";
import type { Scenario, ScenarioContext } from "../scenario.ts";
import { withMesh } from "../with-mesh.ts";

const COLUMNS = {
  fresh: "fresh",
  updates: "updates",
  resent: "resent",
  renamed: "resent, other uuids",
  tenth: "a tenth resent",
  copy: "one copy",
  copies: "two copies",
  naive: "naive",
} as const;
type Round = Record<keyof typeof COLUMNS, Measurement>;

const RECORDS = { full: 100_000, quick: 20_000 };
/** The naive mesh takes as long for a tenth. */
const NAIVE_SHARE = 10;
/** Of each load: until then V8 is busy compiling, with half of what the services take. */
const WARM_UP_RECORDS = { full: 100_000, quick: 20_000 };
const FIRST = 10_000_000;

/** What the mesh lands, between the limit of the database and the obvious way of building it. */
export const loads: Scenario = {
  name: "loads",
  isUsual: true,
  about: `each round has a fresh mesh and lands, in calls of 500
  fresh      new records
  one copy   the rows of "fresh", by one \\copy of psql into a table with the same rows before and the same indexes
  two copies the same by two at once, half of the rows each
  resent     the same records once more
  resent, other uuids   the same under other uuids: the gateway doesn't know them, dedup does
  updates    newer versions of them
  a tenth resent   new records, every tenth of them one that is there
  naive      a tenth as many, on a mesh built the obvious way: a message and an INSERT for each record`,
  run: async (context) => {
    const { rounds: count = context.quick ? 1 : 3 } = context;
    const rounds: Round[] = [];
    for (let number = 1; number <= count; number++) {
      const round = await runRound(context, `round-${number}`);
      rounds.push(round);
      for (const load of ["fresh", "updates", "resent", "renamed", "tenth"] as const)
        context.log(`round ${number} of ${count}, ${COLUMNS[load]}: ${describeLoad(round[load])}`);
    }
    const ratios = [
      { to: "copy", of: "speed", title: "speed, of one copy's", chart: "Speed, of one psql \\copy's" },
      { to: "copies", of: "speed", title: "speed, of two copies'" },
      { to: "fresh", of: "speed", title: "speed, of fresh" },
      { to: "naive", of: "speed", title: "speed, of the naive mesh's" },
      { to: "naive", of: "cpu", title: "CPU, of the naive mesh's" },
    ] as const;
    const table = loadTable(rounds, {
      name: "loads",
      columns: COLUMNS,
      ratios,
      speedChart: "Records a second",
    });
    return { tables: [table], rounds };
  },
};

async function runRound(context: ScenarioContext, label: string): Promise<Round> {
  const { signal, profileDir, records = context.quick ? RECORDS.quick : RECORDS.full } = context;
  const ofMesh = await withMesh({ profileDir, label, signal }, (mesh, dataDir) =>
    measureMesh(context, mesh, dataDir, records),
  );
  return { ...ofMesh, naive: await measureNaive({ records: Math.ceil(records / NAIVE_SHARE), signal }) };
}

/** On a mesh that has no records yet. */
async function measureMesh(
  { copyTool, signal, quick }: ScenarioContext,
  mesh: Mesh,
  directory: string,
  records: number,
): Promise<Omit<Round, "naive">> {
  const producer = await openProducer(mesh.endpoints);
  const keeper = await openBooks(mesh.endpoints.postgresUrl);
  const bench: Bench = { mesh, producer, keeper, signal };
  try {
    await measureOwnLoads(
      bench,
      { first: 0, count: quick ? WARM_UP_RECORDS.quick : WARM_UP_RECORDS.full },
      async () => {},
    );
    for (const table of ["copied", "copied_twice"]) await copyTable(bench, table);

    let copy: Measurement | undefined;
    let copies: Measurement | undefined;
    const own = await measureOwnLoads(bench, { first: FIRST, count: records }, async () => {
      copy = await measureCopies(bench, copyTool, { table: "copied", clients: 1, directory });
      copies = await measureCopies(bench, copyTool, { table: "copied_twice", clients: 2, directory });
    });
    return { ...own, tenth: await measureTenth(bench, records), copy: copy!, copies: copies! };
  } finally {
    producer.close();
    await keeper.close();
  }
}

async function measureOwnLoads(
  bench: Bench,
  range: { first: number; count: number },
  afterFresh: () => Promise<void>,
): Promise<Pick<Round, "fresh" | "resent" | "renamed" | "updates">> {
  const requests = encodeRequests({ ...range, revision: 0 });
  const fresh = await measureLoad(bench, requests, range.count, ["stored"]);
  await afterFresh();
  const resent = await measureLoad(bench, requests, range.count, ["duplicate", "unchanged"]);
  const others = encodeUnderOtherUuids({ ...range, revision: 0 });
  const renamed = await measureLoad(bench, others, range.count, ["duplicate", "unchanged"]);
  const newer = encodeRequests({ ...range, revision: 1 });
  const updates = await measureLoad(bench, newer, range.count, ["updated"]);
  return { fresh, resent, renamed, updates };
}

async function measureTenth(bench: Bench, records: number): Promise<Measurement> {
  const range = { first: FIRST + records, count: records, revision: 0 };
  const known = { first: FIRST, count: Math.ceil(records / REPEATED), revision: 1 };
  const requests = encodeRequestsWithRepeats(range, known);
  return await measureLoad(bench, requests, records, ["stored", "duplicate", "unchanged"]);
}
