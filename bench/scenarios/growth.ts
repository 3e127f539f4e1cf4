import { openBooks } from "@chowhound/local/books";
import {
  benchRecord,
  CALL_RECORDS,
  encodeCalls,
  encodeOnDemand,
  encodeRequests,
} from "../generate-records.ts";
import { openProducer } from "../load/grpc-producer.ts";
import { type Bench, measureLoad, untilBooked } from "../measure-load.ts";
import type { Measurement } from "../measurement.ts";
import { loadTable } from "../report/load-table.ts";
import type { Scenario, ScenarioContext } from "../scenario.ts";
import { withMesh } from "../with-mesh.ts";

const LOADS = ["fresh", "updates", "resent"] as const;
type Load = (typeof LOADS)[number];

const ROWS = { full: [20_000, 1_000_000, 10_000_000], quick: [20_000, 40_000] };
const RECORDS = { full: 100_000, quick: 10_000 };
const WARM_UP_RECORDS = 20_000;

export const growth: Scenario = {
  name: "growth",
  isUsual: false,
  about: `one mesh, filled through its own door; at 20,000 rows, at 1 and at 10 million, new records, updates of
rows from all over the table, and the same once more`,
  run: async (context) => {
    const { quick, signal, profileDir, rounds: count = 1 } = context;
    const sizes = quick ? ROWS.quick : ROWS.full;
    const rounds: Round[] = [];
    for (let number = 1; number <= count; number++) {
      const label = `round-${number}-growth`;
      const round = await withMesh({ profileDir, label, signal }, (mesh) =>
        measureSizes(context, mesh, sizes),
      );
      rounds.push(round);
    }
    const columns = Object.fromEntries(
      sizes.map((rows) => [`at${rows}`, `${rows.toLocaleString("en")} rows`]),
    );
    const [smallest] = Object.keys(columns);
    const ratios = [{ to: smallest!, of: "speed", title: "speed, of the first's" }] as const;
    const tables = LOADS.map((load) => {
      const measured = rounds.map((round) => round[load]);
      return loadTable(measured, { name: load, columns, ratios });
    });
    return { tables, rounds };
  },
};

/** By load, the measurement at each size. */
type Round = Record<Load, Record<string, Measurement>>;

/** On a mesh that has no records yet: at a size there are as many rows as it says. */
async function measureSizes(
  { quick, signal, log, ...context }: ScenarioContext,
  mesh: Bench["mesh"],
  sizes: readonly number[],
): Promise<Round> {
  const { records = quick ? RECORDS.quick : RECORDS.full } = context;
  const keeper = await openBooks(mesh.endpoints.postgresUrl);
  const producer = await openProducer(mesh.endpoints);
  const bench: Bench = { mesh, keeper, producer, signal };
  const found: Round = { fresh: {}, updates: {}, resent: {} };
  let rows = 0;
  let revision = 0;
  const land = async (count: number): Promise<Measurement> => {
    const measured = await measureLoad(bench, encodeRequests({ first: rows, count, revision: 0 }), count, [
      "stored",
    ]);
    rows += count;
    return measured;
  };
  try {
    const update = async () => {
      revision++;
      const count = Math.min(records, rows);
      const requests = updatesAllOver({ rows, count, revision });
      const updates = await measureLoad(bench, requests, count, ["updated"]);
      const resent = await measureLoad(bench, requests, count, ["duplicate", "unchanged"]);
      return { updates, resent };
    };
    await land(WARM_UP_RECORDS);
    await update();
    for (const size of sizes) {
      if (rows < size) await fill(bench, rows, size);
      rows = Math.max(rows, size);
      log(`${rows.toLocaleString("en")} rows`);
      const measured = { ...(await update()), fresh: await land(records) };
      for (const load of LOADS) found[load][`at${size}`] = measured[load];
    }
    return found;
  } finally {
    producer.close();
    await keeper.close();
  }
}

async function fill(bench: Bench, first: number, size: number): Promise<void> {
  const { keeper, producer, signal } = bench;
  const before = await keeper.read();
  const requests = encodeOnDemand({ first, count: size - first, revision: 0 });
  const { accepted } = await producer.send(requests, signal);
  await untilBooked(bench, before.accepted + accepted);
  // Not while it is measured.
  await keeper.query("vacuum analyze records");
}

/** Keys at even distances, so that no two neighbours are in one call. */
function updatesAllOver(options: { rows: number; count: number; revision: number }): Uint8Array[] {
  const { rows, count, revision } = options;
  const records = Array.from({ length: count }, (_, i) =>
    benchRecord(Math.floor((i * rows) / count), revision),
  );
  return encodeCalls(records, CALL_RECORDS);
}
