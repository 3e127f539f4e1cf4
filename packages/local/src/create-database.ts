import { Client, escapeIdentifier } from "pg";

/** Makes a database unless it is there. Returns its URL. @param url a superuser's, of the same server */
export async function ensureDatabase(url: string, name: string): Promise<string> {
  const client = new Client(url);
  await client.connect();
  try {
    const { rowCount } = await client.query("select from pg_database where datname = $1", [name]);
    if (rowCount === 0) await client.query(`create database ${escapeIdentifier(name)}`);
  } finally {
    await client.end();
  }
  return Object.assign(new URL(url), { pathname: `/${name}` }).href;
}
