import { join } from "node:path";
import { ensureDatabase } from "@chowhound/local/create-database";
import { startPostgres } from "@chowhound/local/postgres";
import { createLogger } from "@chowhound/shared/runtime/logger";
import { Client } from "pg";
import { PostgresWriter } from "../../services/store/src/postgres-writer.ts";
import { watchCpu, watchOwnCpu } from "../cpu-watch.ts";
import { openDataDir } from "../data-dir.ts";
import { type Measurement, WITHOUT_BOOKS } from "../measurement.ts";
import { batchesOf } from "../pieces/encode-batches.ts";
import { withoutBooks } from "../pieces/without-books.ts";
import { loadTable } from "../report/load-table.ts";
import type { Scenario } from "../scenario.ts";
import { turned } from "../turned.ts";

const COLUMNS = { without: "without books", with: "with books" } as const;
type Column = keyof typeof COLUMNS;

const RECORDS = { full: 100_000, quick: 10_000 };
const WARM_UP_RECORDS = 20_000;
const FIRST = 10_000_000;
/** Of 500: as many as the store puts into a transaction at most. */
const GROUP_BATCHES = 10;
const STATEMENT_TIMEOUT_MS = 60_000;

export const books: Scenario = {
  name: "books",
  isUsual: false,
  about: `no mesh: the store's writer in this process, on one connection, landing new records in transactions of 5,000: as it ships,
and with the statements that keep the books left out`,
  run: async (context) => {
    const { quick, signal, records = quick ? RECORDS.quick : RECORDS.full, rounds = quick ? 1 : 5 } = context;
    await using dataDir = await openDataDir();
    const log = (): void => {};
    const postgres = await startPostgres({ dataDir: join(dataDir.path, "postgres"), signal, log });
    try {
      const found: Record<Column, Measurement>[] = [];
      for (let number = 1; number <= rounds; number++) {
        const round: Partial<Record<Column, Measurement>> = {};
        for (const column of turned(Object.keys(COLUMNS) as Column[], number - 1)) {
          const url = await ensureDatabase(postgres.url, `${column}_${number}`);
          round[column] = await measureWriter({ url, pid: postgres.pid, records, column });
          context.log(`round ${number} of ${rounds}, ${COLUMNS[column]}: done`);
        }
        found.push(round as Record<Column, Measurement>);
      }
      const ratios = [{ to: "without", of: "cpu", title: "CPU, of the first's" }] as const;
      return { tables: [loadTable(found, { name: "books", columns: COLUMNS, ratios })], rounds: found };
    } finally {
      await postgres.stop();
    }
  },
};

/** Into a database without tables. */
async function measureWriter(options: {
  url: string;
  pid: number;
  records: number;
  column: Column;
}): Promise<Measurement> {
  const { url, pid, records, column } = options;
  const log = createLogger("store", "error");
  const writer = new PostgresWriter({ url, statementTimeoutMs: STATEMENT_TIMEOUT_MS, lane: 0, log });
  const client = new Client(url);
  await client.connect();
  const warmUp = batchesOf({ first: 0, count: WARM_UP_RECORDS, revision: 0 });
  const batches = batchesOf({ first: FIRST, count: records, revision: 0 });
  const write = async (all: typeof batches): Promise<void> => {
    for (let at = 0; at < all.length; at += GROUP_BATCHES)
      await writer.write(all.slice(at, at + GROUP_BATCHES));
  };
  const run = async (): Promise<Measurement> => {
    await writer.open();
    await write(warmUp);
    await client.query("checkpoint");
    const ownCpuUs = watchOwnCpu();
    const cpu = watchCpu({ postgres: pid });
    const startedMs = performance.now();
    await write(batches);
    const elapsedMs = performance.now() - startedMs;
    const { cpuUs, ...machine } = cpu();
    return {
      ...WITHOUT_BOOKS,
      records,
      elapsedMs,
      cpuUs: cpuUs && { store: ownCpuUs(), ...cpuUs },
      ...machine,
    };
  };
  try {
    return await (column === "with" ? run() : withoutBooks(run));
  } finally {
    await writer.close();
    await client.end();
  }
}
