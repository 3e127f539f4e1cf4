/**
 * `npm run e2e:compose`: the compose file for real. Brings it up as a project of its own on free ports, pushes, scales,
 * kills each container in turn under load, takes it down and up again, and removes it. One line per step; exit code 0
 * if all is as it should be, 1 if not.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { findFreePort } from "@chowhound/local/free-port";
import { catchStopSignals } from "@chowhound/local/stop-signals";
import { type Audit, auditSql, expectClosedBooks } from "./audit.ts";
import { createComposeProject } from "./compose.ts";
import { startLoad } from "./load.ts";

const grpcPort = await findFreePort();
const httpPort = await findFreePort();
const project = createComposeProject("chowhound-e2e", {
  CHOWHOUND_PUBLISH_ADDRESS: "127.0.0.1",
  CHOWHOUND_PUBLISH_GRPC_PORT: String(grpcPort),
  CHOWHOUND_PUBLISH_HTTP_PORT: String(httpPort),
});
const { compose, queryRow } = project;
const { signal } = catchStopSignals(console.log);
const scaled = ["--scale", "enricher=3", "--scale", "store=2"];
const bookingTimeoutMs = 90_000;

/** Does one thing and prints a line that says how it went: what `act` returns, if that is a text, and how long it took. */
async function step(what: string, act: () => Promise<unknown>): Promise<void> {
  signal.throwIfAborted();
  const startedMs = performance.now();
  const detail = await act();
  const seconds = ((performance.now() - startedMs) / 1000).toFixed(1);
  console.log(`ok    ${what}${typeof detail === "string" ? `: ${detail}` : ""} (${seconds} s)`);
}

async function audit(): Promise<Audit> {
  const books = await queryRow<Audit>(auditSql);
  expectClosedBooks(books);
  return books;
}

/** Waits until a query says true in its column `done`. */
async function until(what: string, sql: string): Promise<void> {
  const deadlineMs = performance.now() + bookingTimeoutMs;
  while (!(await queryRow<{ done: boolean }>(sql)).done) {
    signal.throwIfAborted();
    if (performance.now() > deadlineMs) throw new Error(`not within ${bookingTimeoutMs / 1000} s: ${what}`);
    await sleep(200);
  }
}

async function readKey(): Promise<string> {
  return compose("exec", "-T", "gateway", "cat", "/var/lib/chowhound/keys/local.key");
}

/** One record as JSON over HTTP, and its row. */
async function pushOne(dataId: string): Promise<void> {
  const record = {
    sourceType: "note",
    sourceId: "http",
    dataId,
    data: "hello",
    updatedAt: "2026-01-01T00:00:00Z",
  };
  const response = await fetch(`http://127.0.0.1:${httpPort}/chowhound.v1.IngestionService/Ingest`, {
    method: "POST",
    headers: { "content-type": "application/json", authorization: `Bearer ${await readKey()}` },
    body: JSON.stringify({ records: [record] }),
  });
  const answer = await response.text();
  if (!response.ok || !answer.includes("RECORD_OUTCOME_ACCEPTED")) throw new Error(`not accepted: ${answer}`);
  await until(
    "the row",
    `select count(*) = 1 as done from records where source_id = 'http' and data_id = '${dataId}'`,
  );
}

async function killEachUnderLoad(): Promise<void> {
  const load = startLoad(`127.0.0.1:${grpcPort}`, await readKey(), "load");
  for (const service of ["gateway", "enricher", "dedup", "store", "nats", "postgres"]) {
    for (const [i, container] of (await project.containers(service)).entries()) {
      await step(`kill -9 of ${service} ${i + 1} under load, until it is healthy again`, async () => {
        await project.killAndAwait(container);
        await audit();
      });
    }
  }
  await step("nothing is lost, nothing is doubled, the books are closed", async () => {
    const round = await load.stop();
    await until(
      `${load.keys} rows of round ${round}`,
      `select (select count(*) = ${load.keys} and bool_and(data = 'round ${round}') from records where source_id = 'load')
          and (select sum(accepted) >= ${load.accepted()} from totals where source_id = 'load') as done`,
    );
    const { accepted, rows } = await audit();
    return `${accepted} records accepted and booked, ${rows} rows`;
  });
}

async function story(): Promise<void> {
  await step("down, in case an earlier run was cut off", async () => {
    await compose("--profile", "demo", "down", "--volumes", "--remove-orphans");
  });
  await step("up --build --wait, with 3 enrichers and 2 stores", async () => {
    await compose("up", "--build", "--detach", "--wait", ...scaled);
    const enrichers = (await project.containers("enricher")).length;
    const stores = (await project.containers("store")).length;
    if (enrichers !== 3 || stores !== 2) throw new Error(`${enrichers} enrichers, ${stores} stores`);
  });
  await step("a record over HTTP is a row", () => pushOne("first"));
  await killEachUnderLoad();
  const before = await audit();
  await step("down and up again: everything is still there", async () => {
    await compose("down");
    await compose("up", "--detach", "--wait", ...scaled);
    const after = await audit();
    if (JSON.stringify(after) !== JSON.stringify(before))
      throw new Error(`before ${JSON.stringify(before)}, after ${JSON.stringify(after)}`);
  });
  await step("a record over HTTP is a row, with the same key", () => pushOne("second"));
  await step("the demo producer", async () => {
    await compose("--profile", "demo", "up", "--build", "--detach", "--wait", ...scaled);
    await until(
      "20 packages",
      "select count(*) >= 20 as done from records where source_type = 'npm-package'",
    );
    const { accepted, rows, dead_letters } = await audit();
    return `${accepted} records accepted and booked, ${rows} rows, ${dead_letters} dead letters`;
  });
}

let isGood = false;
try {
  await story();
  isGood = true;
} catch (error) {
  if (!signal.aborted) {
    console.error(`FAILED  ${(error as Error).message}`);
    console.error(await compose("ps", "--all").catch(() => ""));
    console.error(await compose("logs", "--tail", "15").catch(() => ""));
  }
}
try {
  await compose("--profile", "demo", "down", "--volumes");
  const left = await project.leftovers();
  if (left.length > 0) throw new Error(`left behind: ${left.join(" ")}`);
  console.log("ok    down --volumes: nothing left behind");
} catch (error) {
  console.error(`FAILED  ${(error as Error).message}`);
  isGood = false;
}
console.log(isGood ? "e2e:compose OK" : "e2e:compose FAILED");
process.exitCode = isGood ? 0 : 1;
