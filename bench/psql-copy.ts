import { createReadStream, createWriteStream } from "node:fs";
import { pipeline } from "node:stream/promises";
import { CommandError, findOnPath, runCommand } from "@chowhound/local/run-command";
import { Client } from "pg";
import { from as copyFrom, to as copyTo } from "pg-copy-streams";

/** How rows are copied: by `psql`, or by its COPY statement through a client library. */
export type CopyTool = { kind: "psql"; path: string; version: string } | { kind: "pg-copy-streams" };

export async function findCopyTool(): Promise<CopyTool> {
  const path = await findOnPath("psql", process.env.PATH);
  if (path === undefined) return { kind: "pg-copy-streams" };
  const version = (await runCommand(path, ["--version"])).trim();
  return { kind: "psql", path, version };
}

/** Writes what a query returns to a file, in COPY's text format. */
export async function exportRows(databaseUrl: string, query: string, file: string): Promise<void> {
  const client = new Client(databaseUrl);
  await client.connect();
  try {
    await pipeline(client.query(copyTo(`copy (${query}) to stdout`)), createWriteStream(file));
  } finally {
    await client.end();
  }
}

/**
 * Copies a file of {@link exportRows} into a table, in one statement. Returns the milliseconds of that alone: without the client's
 * start and its connection.
 */
export async function importRows(
  tool: CopyTool,
  { databaseUrl, table, file, signal }: ImportOptions,
): Promise<number> {
  return tool.kind === "psql"
    ? await importWithPsql(tool.path, { databaseUrl, table, file, signal })
    : await importWithLibrary({ databaseUrl, table, file, signal });
}

export interface ImportOptions {
  databaseUrl: string;
  table: string;
  file: string;
  signal: AbortSignal;
}

async function importWithPsql(psql: string, options: ImportOptions): Promise<number> {
  const { hostname, port, username, password, pathname } = new URL(options.databaseUrl);
  const commands = ["\\timing on", `\\copy ${options.table} from '${options.file.replaceAll("'", "''")}'`];
  const said = await runCommand(
    psql,
    ["--no-psqlrc", "--set=ON_ERROR_STOP=1", ...commands.flatMap((command) => ["--command", command])],
    {
      env: {
        PATH: process.env.PATH,
        LC_ALL: "C",
        PGHOST: hostname,
        PGPORT: port,
        PGUSER: username,
        PGPASSWORD: decodeURIComponent(password),
        PGDATABASE: pathname.slice(1),
      },
      signal: options.signal,
    },
  );
  const elapsedMs = Number(/^Time: ([\d.]+) ms/m.exec(said)?.[1]);
  if (Number.isNaN(elapsedMs)) throw new CommandError(`psql did not tell the time: ${said}`);
  return elapsedMs;
}

async function importWithLibrary({ databaseUrl, table, file, signal }: ImportOptions): Promise<number> {
  const client = new Client(databaseUrl);
  await client.connect();
  try {
    const startedMs = performance.now();
    await pipeline(createReadStream(file), client.query(copyFrom(`copy ${table} from stdin`)), { signal });
    return performance.now() - startedMs;
  } finally {
    await client.end();
  }
}
