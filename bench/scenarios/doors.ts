import { openBooks } from "@chowhound/local/books";
import type { Mesh } from "@chowhound/local/mesh";
import { encodeCalls, encodeRequests, largeRecord } from "../generate-records.ts";
import { openProducer } from "../load/grpc-producer.ts";
import { openJsonProducer, toJsonRequest } from "../load/json-producer.ts";
import type { Producer } from "../load/producer.ts";
import { openStreamProducer } from "../load/stream-producer.ts";
import { measureLoad } from "../measure-load.ts";
import type { Measurement } from "../measurement.ts";
import { describeLoad, loadTable } from "../report/load-table.ts";
import type { Scenario } from "../scenario.ts";
import { withMesh } from "../with-mesh.ts";

const COLUMNS = {
  unary: "calls of 500",
  hundred: "calls of 100",
  streams: "4 streams, batches of 500",
  json: "JSON, calls of 500",
  large: "records of 64 KB, calls of 50",
} as const;
type Column = keyof typeof COLUMNS;
type Round = Record<Column, Measurement>;

const RECORDS = { full: 100_000, quick: 20_000 };
const CALLS_IN_FLIGHT = 16;
const STREAMS = { streams: 4, window: 8 };
const LARGE_CALL_RECORDS = 50;
/** As many as the gateway takes of one tenant at a time. */
const LARGE_CALLS_IN_FLIGHT = 4;
/** A large one is worth so many others. */
const LARGE_SHARE = 50;
/** Each begins with this part of it. */
const WARM_UP_SHARE = 5;
const FIRST = 10_000_000;

/** New records through each way in, and large ones. */
export const doors: Scenario = {
  name: "doors",
  isUsual: true,
  about: `each round has a fresh mesh and lands new records through each way in: gRPC calls of 500 and of 100, 16 under way on one
connection; 4 streams with 8 batches of 500 under way each; JSON over HTTP/1.1 in calls of 500 on 16 connections;
and a fiftieth as many records of 64 KB in calls of 50, 4 under way`,
  run: async (context) => {
    const { quick, profileDir, signal, records = quick ? RECORDS.quick : RECORDS.full } = context;
    const { rounds: count = quick ? 1 : 3 } = context;
    const rounds: Round[] = [];
    for (let number = 1; number <= count; number++) {
      const label = `round-${number}-doors`;
      const round = await withMesh({ profileDir, label, signal }, (mesh) => runRound(mesh, records, signal));
      rounds.push(round);
      for (const column of Object.keys(COLUMNS) as Column[])
        context.log(`round ${number} of ${count}, ${COLUMNS[column]}: ${describeLoad(round[column])}`);
    }
    const ratios = [{ to: "unary", of: "speed", title: "speed, of the first's" }] as const;
    const chart = { speedChart: "Records a second by way in" };
    const table = loadTable(rounds, { name: "doors", columns: COLUMNS, ratios, ...chart, showsBytes: true });
    return { tables: [table], rounds };
  },
};

/** On a mesh that has no records yet. */
async function runRound(mesh: Mesh, records: number, signal: AbortSignal): Promise<Round> {
  const keeper = await openBooks(mesh.endpoints.postgresUrl);
  const unary = await openProducer(mesh.endpoints);
  const streams = await openStreamProducer({ ...mesh.endpoints, ...STREAMS });
  const json = openJsonProducer({ ...mesh.endpoints, callsInFlight: CALLS_IN_FLIGHT });
  const few = await openProducer({ ...mesh.endpoints, callsInFlight: LARGE_CALLS_IN_FLIGHT });
  const producers: Record<Column, Producer> = { unary, hundred: unary, streams, json, large: few };
  const encode: Record<Column, (first: number, count: number) => Uint8Array[]> = {
    unary: (first, count) => encodeRequests({ first, count, revision: 0 }),
    hundred: (first, count) => encodeRequests({ first, count, revision: 0 }, 100),
    streams: (first, count) => encodeRequests({ first, count, revision: 0 }),
    json: (first, count) => encodeRequests({ first, count, revision: 0 }).map(toJsonRequest),
    large: (first, count) => {
      const large = Array.from({ length: count }, (_, i) => largeRecord(first + i));
      return encodeCalls(large, LARGE_CALL_RECORDS);
    },
  };
  let first = FIRST;
  const round: Partial<Round> = {};
  try {
    for (const column of Object.keys(COLUMNS) as Column[]) {
      const count = Math.ceil(column === "large" ? records / LARGE_SHARE : records);
      for (const share of [Math.ceil(count / WARM_UP_SHARE), count]) {
        const requests = encode[column](first, share);
        const bench = { mesh, producer: producers[column], keeper, signal };
        round[column] = await measureLoad(bench, requests, share, ["stored"]);
        first += share;
      }
    }
    return round as Round;
  } finally {
    for (const { close } of [unary, streams, json, few]) close();
    await keeper.close();
  }
}
