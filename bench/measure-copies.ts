import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { endedChildrenCpuTimeUs } from "./cpu-time.ts";
import { difference, watchCpu, watchOwnCpu } from "./cpu-watch.ts";
import { type Bench, rest } from "./measure-load.ts";
import { BrokenBooksError, type Measurement, WITHOUT_BOOKS } from "./measurement.ts";
import { type CopyTool, exportRows, importRows } from "./psql-copy.ts";

/** PostgreSQL has waited for the copies' backends by then, and their time is its own. */
const REAP_MS = 300;

/** Makes a table that has what `records` has, rows and indexes. */
export async function copyTable({ keeper }: Pick<Bench, "keeper">, table: string): Promise<void> {
  await keeper.query(`create table ${table} (like records including all)`);
  await keeper.query(`insert into ${table} select * from records`);
}

/**
 * Copies into a table of {@link copyTable} what `records` has got since: the limit of what the database takes.
 *
 * @param clients that copy at the same time, each its share
 */
export async function measureCopies(
  { mesh, keeper, signal }: Bench,
  tool: CopyTool,
  { table, clients, directory }: { table: string; clients: number; directory: string },
): Promise<Measurement> {
  const databaseUrl = mesh.endpoints.postgresUrl;
  const files = Array.from({ length: clients }, (_, client) => join(directory, `rows-${client}.copy`));
  for (const [client, file] of files.entries()) {
    const share = `abs(hashtext(data_id)) % ${clients} = ${client}`;
    const missing = `select * from records r where not exists (select from ${table} c where c.data_id = r.data_id) and ${share}`;
    await exportRows(databaseUrl, missing, file);
  }
  const count = async (): Promise<number> =>
    (await keeper.query<{ n: number }>(`select count(*)::int as n from ${table}`))[0]!.n;
  const rowsBefore = await count();
  await rest(keeper, signal);

  const ownCpuUs = tool.kind === "psql" ? watchChildrenCpu() : watchOwnCpu();
  const cpu = watchCpu({ postgres: mesh.process("postgres").pid });
  const elapsedMs = Math.max(
    ...(await Promise.all(files.map((file) => importRows(tool, { databaseUrl, table, file, signal })))),
  );
  const producerUs = ownCpuUs();
  await sleep(REAP_MS);
  const { cpuUs, ...machine } = cpu();
  const records = (await count()) - rowsBefore;
  const unequal = await keeper.query(
    `(select * from records except select * from ${table}) union all (select * from ${table} except select * from records) limit 1`,
  );
  if (unequal.length > 0) throw new BrokenBooksError("the copied rows are not the rows of the mesh");
  await keeper.query(`drop table ${table}`);
  return {
    ...WITHOUT_BOOKS,
    records,
    elapsedMs,
    cpuUs: cpuUs && producerUs !== undefined ? { producer: producerUs, ...cpuUs } : undefined,
    ...machine,
  };
}

/** Of programs that end meanwhile. */
function watchChildrenCpu(): () => number | undefined {
  const before = endedChildrenCpuTimeUs();
  return () => difference(before, endedChildrenCpuTimeUs());
}
