import { openBooks } from "@chowhound/local/books";
import type { Mesh } from "@chowhound/local/mesh";
import { encodeRequests } from "../generate-records.ts";
import { openProducer } from "../load/grpc-producer.ts";
import type { Producer } from "../load/producer.ts";
import { measureLoad } from "../measure-load.ts";
import type { Measurement } from "../measurement.ts";
import { describeLoad, loadTable } from "../report/load-table.ts";
import type { Scenario } from "../scenario.ts";
import { withMesh } from "../with-mesh.ts";

/** Of the calls of one record: each has one call under way. */
const CLIENTS = 64;
const COLUMNS = {
  batched: "calls of 500",
  shared: "of one, 64 clients on one connection",
  single: "of one, 64 clients with one each",
} as const;
type Round = Record<keyof typeof COLUMNS, Measurement>;

const RECORDS = { full: 50_000, quick: 10_000 };
const WARM_UP_RECORDS = 20_000;
const FIRST = 10_000_000;

/** What it costs that every record comes in a call of its own. */
export const calls: Scenario = {
  name: "calls",
  isUsual: true,
  about: `each round has a fresh mesh and lands new records in calls of 500, then as many in calls of one record from 64
clients: first on one connection, then on 64`,
  run: async (context) => {
    const { quick, profileDir, signal, records = quick ? RECORDS.quick : RECORDS.full } = context;
    const { rounds: count = quick ? 1 : 3 } = context;
    const rounds: Round[] = [];
    for (let number = 1; number <= count; number++) {
      const label = `round-${number}-calls`;
      const round = await withMesh({ profileDir, label, signal }, (mesh) => runRound(mesh, records, signal));
      rounds.push(round);
      for (const column of ["batched", "shared", "single"] as const)
        context.log(`round ${number} of ${count}, ${COLUMNS[column]}: ${describeLoad(round[column])}`);
    }
    const ratios = [{ to: "batched", of: "speed", title: "speed, of the first's" }] as const;
    const table = loadTable(rounds, {
      name: "calls",
      columns: COLUMNS,
      ratios,
      speedChart: "Calls of one record",
    });
    return { tables: [table], rounds };
  },
};

/** On a mesh that has no records yet. */
async function runRound(mesh: Mesh, records: number, signal: AbortSignal): Promise<Round> {
  const keeper = await openBooks(mesh.endpoints.postgresUrl);
  const land = async (producer: Producer, first: number, count: number, callRecords?: number) => {
    const requests = encodeRequests({ first, count, revision: 0 }, callRecords);
    return await measureLoad({ mesh, producer, keeper, signal }, requests, count, ["stored"]);
  };
  const producer = await openProducer(mesh.endpoints);
  const onOne = await openProducer({ ...mesh.endpoints, callsInFlight: CLIENTS });
  const crowd = await openProducer({ ...mesh.endpoints, callsInFlight: CLIENTS, connections: CLIENTS });
  try {
    await land(producer, 0, WARM_UP_RECORDS);
    const batched = await land(producer, FIRST, records);
    await land(onOne, WARM_UP_RECORDS, WARM_UP_RECORDS, 1);
    const shared = await land(onOne, FIRST + records, records, 1);
    const single = await land(crowd, FIRST + 2 * records, records, 1);
    return { batched, shared, single };
  } finally {
    for (const { close } of [producer, onOne, crowd]) close();
    await keeper.close();
  }
}
