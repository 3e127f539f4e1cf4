import { measureFresh } from "../measure-fresh.ts";
import type { Measurement } from "../measurement.ts";
import { findConnect, HOW_TO_GET_IT } from "../peers/find-connect.ts";
import { measureConnect } from "../peers/measure-connect.ts";
import { loadTable } from "../report/load-table.ts";
import { type Scenario, SkippedError } from "../scenario.ts";
import { withMesh } from "../with-mesh.ts";

const RECORDS = { full: 100_000, quick: 10_000 };

export const peers: Scenario = {
  name: "peers",
  isUsual: true,
  about: `new records on the mesh, and by Redpanda Connect from JetStream to the same table, as archives of 500 that come by HTTP,
as archives and as single messages (bench/peers); skipped where there is no redpanda-connect`,
  run: async (context) => {
    const { quick, profileDir, signal, log, records = quick ? RECORDS.quick : RECORDS.full } = context;
    const program = await findConnect(process.env);
    if (program === undefined) throw new SkippedError(HOW_TO_GET_IT);
    const { rounds: count = quick ? 1 : 3 } = context;
    const rounds: Record<"mesh" | "door" | "archives" | "records", Measurement>[] = [];
    for (let number = 1; number <= count; number++) {
      const mesh = await withMesh({ profileDir, label: `round-${number}-peers`, signal }, (mesh) =>
        measureFresh(mesh, { records, signal }),
      );
      const door = await measureConnect(program, { form: "door", records, signal });
      const archives = await measureConnect(program, { form: "archives", records, signal });
      const single = await measureConnect(program, { form: "records", records, signal });
      rounds.push({ mesh, door, archives, records: single });
      log(`round ${number} of ${count}: done`);
    }
    const name = `Connect ${program.version}`;
    const columns = {
      mesh: "mesh",
      door: `${name}, archives by HTTP`,
      archives: `${name}, archives`,
      records: `${name}, single messages`,
    };
    const ratios = [
      { to: "archives", of: "speed", title: "speed, of Connect's with archives" },
      { to: "archives", of: "cpu", title: "CPU, of Connect's with archives" },
      { to: "door", of: "cpu", title: "CPU, of Connect's with archives by HTTP" },
    ] as const;
    const chart = { speedChart: "Records a second, the mesh and a peer" };
    return { tables: [loadTable(rounds, { name: "peers", columns, ratios, ...chart })], rounds };
  },
};
