import { randomBytes } from "node:crypto";
import pg from "pg";
import { inject } from "vitest";

/** A prefix of its own for the streams, subjects and buckets of one test file on the shared nats-server. */
export function freshPrefix(): string {
  return `t${randomBytes(6).toString("hex")}`;
}

/** An empty database of its own on the shared PostgreSQL. */
export async function freshDatabase(): Promise<{ url: string; drop(): Promise<void> }> {
  const name = freshPrefix();
  const adminUrl = inject("postgresUrl");
  await runAs(adminUrl, `create database ${name}`);
  const url = new URL(adminUrl);
  url.pathname = `/${name}`;
  return { url: url.href, drop: () => runAs(adminUrl, `drop database if exists ${name} with (force)`) };
}

async function runAs(url: string, sql: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await client.query(sql);
  } finally {
    await client.end();
  }
}
