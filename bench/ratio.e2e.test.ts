import { openBooks } from "@chowhound/local/books";
import { expect, test } from "vitest";
import { encodeRequests } from "./generate-records.ts";
import { openProducer } from "./load/grpc-producer.ts";
import { measureLoad } from "./measure-load.ts";
import { measureNaive } from "./naive/measure-naive.ts";
import { cpuPerRecordUs, speed } from "./report/load-table.ts";
import { withMesh } from "./with-mesh.ts";

/** A fifth of what is usual: it is not about speed, but that the batches are still there. */
const LEAST_RATIO = 2;
const NAIVE = { records: 1_000, warmUpRecords: 500 };
const MESH_RECORDS = 5_000;
const PATIENCE_MS = 180_000;

test(
  "the mesh lands records faster, and for less, than one built the obvious way",
  async ({ signal }) => {
    const naive = await measureNaive({ ...NAIVE, signal });
    const mesh = await withMesh({ signal }, async (mesh) => {
      const keeper = await openBooks(mesh.endpoints.postgresUrl);
      const producer = await openProducer(mesh.endpoints);
      const bench = { mesh, keeper, producer, signal };
      const land = (first: number) =>
        measureLoad(bench, encodeRequests({ first, count: MESH_RECORDS, revision: 0 }), MESH_RECORDS, [
          "stored",
        ]);
      try {
        await land(0);
        return await land(MESH_RECORDS);
      } finally {
        producer.close();
        await keeper.close();
      }
    });
    expect(speed(mesh) / speed(naive)).toBeGreaterThan(LEAST_RATIO);
    const [ofMesh, ofNaive] = [cpuPerRecordUs(mesh), cpuPerRecordUs(naive)];
    if (ofMesh !== undefined && ofNaive !== undefined) expect(ofNaive / ofMesh).toBeGreaterThan(LEAST_RATIO);
  },
  PATIENCE_MS,
);
