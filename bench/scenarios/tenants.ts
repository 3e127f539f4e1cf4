import { setTimeout as sleep } from "node:timers/promises";
import { createKey } from "@chowhound/gateway/src/create-key.ts";
import { openBooks } from "@chowhound/local/books";
import type { Mesh } from "@chowhound/local/mesh";
import { encodeRequests } from "../generate-records.ts";
import { openIngest } from "../load/grpc-producer.ts";
import { sendThrough } from "../load/producer.ts";
import { measureLoad } from "../measure-load.ts";
import type { Measurement } from "../measurement.ts";
import { loadTable } from "../report/load-table.ts";
import type { Scenario } from "../scenario.ts";
import { withMesh } from "../with-mesh.ts";

const COLUMNS = {
  one: "1 tenant, calls of 500",
  many: "1,000 tenants, calls of 500",
  oneSmall: "1 tenant, calls of 20",
  manySmall: "1,000 tenants, calls of 20",
} as const;
type Column = keyof typeof COLUMNS;
type Round = Record<Column, Measurement>;

const TENANTS = { full: 1_000, quick: 50 };
const RECORDS = { full: 100_000, quick: 10_000 };
const CALL_RECORDS = { one: 500, many: 500, oneSmall: 20, manySmall: 20 };
const CALLS_IN_FLIGHT = 16;
const WARM_UP_SHARE = 5;
/** The gateway looks for new keys about every second. */
const KEYS_TAKEN_MS = 3_000;

export const tenants: Scenario = {
  name: "tenants",
  isUsual: false,
  about:
    "each round has a fresh mesh and lands new records of one tenant, and of 1,000 whose calls take turns",
  run: async (context) => {
    const { quick, profileDir, signal, records = quick ? RECORDS.quick : RECORDS.full } = context;
    const { rounds: count = quick ? 1 : 3 } = context;
    const rounds: Round[] = [];
    for (let number = 1; number <= count; number++) {
      const options = { profileDir, label: `round-${number}-tenants`, signal };
      const tenants = quick ? TENANTS.quick : TENANTS.full;
      rounds.push(await withMesh(options, (mesh) => runRound(mesh, { tenants, records, signal })));
      context.log(`round ${number} of ${count}: done`);
    }
    const ratios = [{ to: "one", of: "speed", title: "speed, of the first's" }] as const;
    return { tables: [loadTable(rounds, { name: "tenants", columns: COLUMNS, ratios })], rounds };
  },
};

/** On a mesh that has no records yet. */
async function runRound(
  mesh: Mesh,
  { tenants, records, signal }: { tenants: number; records: number; signal: AbortSignal },
): Promise<Round> {
  const { endpoints, keysFile } = mesh;
  const keys: string[] = [];
  for (let i = 0; i < tenants; i++) keys.push(await createKey({ tenant: `tenant-${i}`, file: keysFile }));
  await sleep(KEYS_TAKEN_MS, undefined, { signal });
  const keysOf = { one: [endpoints.key], many: keys, oneSmall: [endpoints.key], manySmall: keys };
  const keeper = await openBooks(endpoints.postgresUrl);
  const round: Partial<Round> = {};
  let first = 0;
  try {
    for (const column of Object.keys(COLUMNS) as Column[]) {
      const { ingest, close } = await openIngest({ grpc: endpoints.grpc, keys: keysOf[column] });
      const lanes = Array.from({ length: CALLS_IN_FLIGHT }, () => ingest);
      const producer = { send: sendThrough.bind(undefined, lanes), close };
      for (const count of [Math.ceil(records / WARM_UP_SHARE), records]) {
        const requests = encodeRequests({ first, count, revision: 0 }, CALL_RECORDS[column]);
        round[column] = await measureLoad({ mesh, producer, keeper, signal }, requests, count, ["stored"]);
        first += count;
      }
      close();
    }
    return round as Round;
  } finally {
    await keeper.close();
  }
}
