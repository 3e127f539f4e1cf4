import { openBooks } from "@chowhound/local/books";
import type { Mesh } from "@chowhound/local/mesh";
import { encodeRequests } from "./generate-records.ts";
import { openProducer } from "./load/grpc-producer.ts";
import { measureLoad } from "./measure-load.ts";
import type { Measurement } from "./measurement.ts";
import type { ScenarioContext } from "./scenario.ts";
import { turned } from "./turned.ts";
import { type WithMeshOptions, withMesh } from "./with-mesh.ts";

const WARM_UP_RECORDS = 20_000;
const FIRST = 10_000_000;

/** Lands new records, in calls of 500, on a mesh that has none yet. */
export async function measureFresh(
  mesh: Mesh,
  {
    records,
    others,
    afterWarmUp = async () => {},
    signal,
  }: {
    records: number;
    /** Further processes whose CPU time counts, by name. */
    others?: Readonly<Record<string, number>>;
    afterWarmUp?: () => Promise<void>;
    signal: AbortSignal;
  },
): Promise<Measurement> {
  const gateways = mesh.processes.filter(({ name }) => name.startsWith("gateway"));
  const grpc = gateways.map(({ ports }) => `127.0.0.1:${ports.grpc}`);
  const producer = await openProducer({ grpc, key: mesh.endpoints.key });
  const keeper = await openBooks(mesh.endpoints.postgresUrl);
  const bench = { mesh, producer, keeper, signal, ...(others && { others }) };
  const land = (first: number, count: number): Promise<Measurement> =>
    measureLoad(bench, encodeRequests({ first, count, revision: 0 }), count, ["stored"]);
  try {
    await land(0, WARM_UP_RECORDS);
    await afterWarmUp();
    return await land(FIRST, records);
  } finally {
    producer.close();
    await keeper.close();
  }
}

/** How meshes differ that are compared. */
export type MeshKind = Pick<WithMeshOptions, "env" | "replicas">;

/** Lands the same load on a fresh mesh of each kind, in turn, round after round. */
export async function compareMeshes<Kind extends string>(
  { signal, profileDir, log }: ScenarioContext,
  kinds: Readonly<Record<Kind, MeshKind>>,
  { name, rounds: count, records }: { name: string; rounds: number; records: number },
): Promise<Record<Kind, Measurement>[]> {
  const rounds: Record<Kind, Measurement>[] = [];
  for (let number = 1; number <= count; number++) {
    const round: Partial<Record<Kind, Measurement>> = {};
    for (const kind of turned(Object.keys(kinds) as Kind[], number - 1)) {
      const options = { ...kinds[kind], profileDir, label: `round-${number}-${name}-${kind}`, signal };
      round[kind] = await withMesh(options, (mesh) => measureFresh(mesh, { records, signal }));
      log(`round ${number} of ${count}, ${name} ${kind}: done`);
    }
    rounds.push(round as Record<Kind, Measurement>);
  }
  return rounds;
}
