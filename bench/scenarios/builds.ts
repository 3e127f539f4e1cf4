import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { startPostgres } from "@chowhound/local/postgres";
import { type PostgresBinaries, postgresBinariesIn } from "@chowhound/local/postgres-binaries";
import { Client } from "pg";
import { watchCpu } from "../cpu-watch.ts";
import { openDataDir } from "../data-dir.ts";
import { recordsOf } from "../generate-records.ts";
import { type Measurement, WITHOUT_BOOKS } from "../measurement.ts";
import { countRows, createTable } from "../plain-servers.ts";
import { exportRows, importRows } from "../psql-copy.ts";
import { loadTable } from "../report/load-table.ts";
import { type Scenario, type ScenarioContext, SkippedError } from "../scenario.ts";
import { turned } from "../turned.ts";

type Build = "embedded" | "other";

const RECORDS = { full: 200_000, quick: 20_000 };
const FIRST = 10_000_000;
const PIECE_RECORDS = 5_000;
/** PostgreSQL has waited for the copy's backend by then. */
const REAP_MS = 300;
const VARIABLE = "CHOWHOUND_BENCH_POSTGRES";
const DEBIAN = "/usr/lib/postgresql";

/** What the PostgreSQL that npm brings costs more than another build, so that it isn't taken for what the mesh costs. */
export const builds: Scenario = {
  name: "builds",
  isUsual: false,
  about: `no mesh: one \\copy of new rows into the same table of two PostgreSQL servers, in turn: the one that npm brings, and another
build: the programs in the directory that ${VARIABLE} names, else Debian's newest; skipped where there is none`,
  run: async (context) => {
    const { quick, log, rounds = quick ? 1 : 3 } = context;
    const other = await findOther(process.env);
    if (other === undefined)
      throw new SkippedError(`there is no PostgreSQL in ${DEBIAN}, and ${VARIABLE} names none`);
    const columns = { embedded: "as npm brings it", other: `another build (${other.version})` };
    const found: Record<Build, Measurement>[] = [];
    for (let number = 1; number <= rounds; number++) {
      const round: Partial<Record<Build, Measurement>> = {};
      for (const build of turned(Object.keys(columns) as Build[], number - 1))
        round[build] = await measureBuild(context, build === "other" ? other : undefined);
      found.push(round as Record<Build, Measurement>);
      log(`round ${number} of ${rounds}: done`);
    }
    const ratios = [
      { to: "other", of: "speed", title: "speed, of the other's" },
      { to: "other", of: "cpu", title: "CPU, of the other's" },
    ] as const;
    return { tables: [loadTable(found, { name: "builds", columns, ratios })], rounds: found };
  },
};

async function findOther(env: NodeJS.ProcessEnv): Promise<PostgresBinaries | undefined> {
  const named = env[VARIABLE];
  if (named !== undefined && named !== "") return postgresBinariesIn(named);
  const versions = await readdir(DEBIAN).catch(() => []);
  const newest = versions.toSorted((a, b) => Number(b) - Number(a))[0];
  return newest === undefined
    ? undefined
    : postgresBinariesIn(join(DEBIAN, newest, "bin")).catch(() => undefined);
}

async function measureBuild(
  { quick, signal, copyTool, records = quick ? RECORDS.quick : RECORDS.full }: ScenarioContext,
  binaries: PostgresBinaries | undefined,
): Promise<Measurement> {
  await using dataDir = await openDataDir();
  const postgres = await startPostgres({
    dataDir: join(dataDir.path, "postgres"),
    ...(binaries && { binaries }),
    signal,
    log: () => {},
  });
  const client = new Client(postgres.url);
  try {
    await client.connect();
    await createTable(postgres.url);
    await insertRows(client, records);
    const file = join(dataDir.path, "rows.copy");
    await exportRows(postgres.url, "select * from records", file);
    await client.query("truncate records");
    await client.query("checkpoint");
    const cpu = watchCpu({ postgres: postgres.pid });
    const elapsedMs = await importRows(copyTool, {
      databaseUrl: postgres.url,
      table: "records",
      file,
      signal,
    });
    await sleep(REAP_MS);
    const { cpuUs, ...machine } = cpu();
    return { ...WITHOUT_BOOKS, records: await countRows(client), elapsedMs, cpuUs, ...machine };
  } finally {
    await client.end();
    await postgres.stop();
  }
}

async function insertRows(client: Client, count: number): Promise<void> {
  const rows = Array.from(recordsOf({ first: FIRST, count, revision: 0 }), (record) => [
    record.sourceType,
    record.sourceId,
    record.dataId,
    record.uuid,
    record.data,
  ]);
  for (let at = 0; at < count; at += PIECE_RECORDS)
    await client.query(
      `insert into records (tenant_id, source_type, source_id, data_id, uuid, data, metadata, metadata_type, lang, attributes)
       select 'bench', r->>0, r->>1, r->>2, (r->>3)::uuid, r->>4, '{"rank": 1, "score": 0.5}', 'note', 'en', '{"env": "bench"}'
       from jsonb_array_elements($1::jsonb) r`,
      [JSON.stringify(rows.slice(at, at + PIECE_RECORDS))],
    );
}
