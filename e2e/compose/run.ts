/**
 * `npm run e2e:compose`: the compose file for real. Brings it up as a project of its own on free ports, first the mesh
 * alone, then all of it; looks at what containers may do and tell, runs what the README says to type, pushes, follows a
 * record in Jaeger, asks Prometheus what the dashboards ask, scales, kills each container in turn under load, takes it down
 * and up again, and removes it. One line per step; exit code 0 if all is as it should be, 1 if not.
 *
 * With `-- --core`: without Jaeger, Prometheus and Grafana, where their images can't be had.
 */
import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { findFreePort } from "@chowhound/local/free-port";
import { repositoryRoot } from "@chowhound/local/node-binary";
import { catchStopSignals } from "@chowhound/local/stop-signals";
import { readDashboards } from "../../deploy/dashboards-for-test.ts";
import { readShellBlocks } from "../walkthrough.ts";
import { type Audit, auditSql, expectClosedBooks } from "./audit.ts";
import { createComposeProject } from "./compose.ts";
import { expectHardened, expectNoSecrets } from "./hardening.ts";
import { createJaeger } from "./jaeger.ts";
import { startLoad } from "./load.ts";
import { getJson, poll } from "./poll.ts";
import { createPrometheus } from "./prometheus.ts";

const grpcPort = await findFreePort();
const httpPort = await findFreePort();
const jaegerPort = await findFreePort();
const prometheusPort = await findFreePort();
const grafanaPort = await findFreePort();
const jaeger = createJaeger(jaegerPort);
const prometheus = createPrometheus(prometheusPort);
const projectWith = (profiles: string) =>
  createComposeProject("chowhound-e2e", {
    COMPOSE_PROFILES: profiles,
    CHOWHOUND_PUBLISH_ADDRESS: "127.0.0.1",
    CHOWHOUND_PUBLISH_GRPC_PORT: String(grpcPort),
    CHOWHOUND_PUBLISH_HTTP_PORT: String(httpPort),
    CHOWHOUND_PUBLISH_JAEGER_PORT: String(jaegerPort),
    CHOWHOUND_PUBLISH_PROMETHEUS_PORT: String(prometheusPort),
    CHOWHOUND_PUBLISH_GRAFANA_PORT: String(grafanaPort),
  });
const isObserved = !process.argv.includes("--core");
const core = projectWith("");
const project = isObserved ? projectWith("observability") : core;
const demoAlone = projectWith("demo");
const withDemo = isObserved ? projectWith("observability,demo") : demoAlone;
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

/** One record as JSON over HTTP, and its row. Returns the receipt's trace id. */
async function pushOne(dataId: string): Promise<string> {
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
  return (JSON.parse(answer) as { receipt: { traceId: string } }).receipt.traceId;
}

async function coreAlone(): Promise<void> {
  await step("the mesh alone: up --build --wait", async () => {
    await core.compose("up", "--build", "--detach", "--wait");
    const services = (await core.compose("ps", "--services")).split("\n").sort();
    const expected = ["dedup", "enricher", "gateway", "nats", "postgres", "store"];
    if (services.join() !== expected.join()) throw new Error(services.join());
  });
  await step("a record over HTTP is a row", async () => {
    await pushOne("first");
  });
  await step("nobody misses Jaeger", async () => {
    const log = await core.compose("logs", "--no-log-prefix", "gateway", "enricher", "dedup", "store");
    const complaints = log.split("\n").filter((line) => /"level":"(warn|error|fatal)"/.test(line));
    if (complaints.length > 0) throw new Error(complaints.join("\n"));
  });
}

const services = ["chowhound-gateway", "chowhound-enricher", "chowhound-dedup", "chowhound-store"];

async function observe(): Promise<void> {
  await step(
    "a record's trace is in Jaeger by the id of its receipt, from the door to the commit",
    async () => {
      const traceId = await pushOne("traced");
      return poll(async () => {
        const spans = await jaeger.trace(traceId);
        const missing = services.filter((service) => !spans.some((span) => span.service === service));
        if (missing.length > 0) throw new Error(`trace ${traceId} has no span of ${missing.join()}`);
        if (!spans.some(({ name }) => name === "COMMIT")) throw new Error(`trace ${traceId} has no COMMIT`);
        return `${spans.length} spans`;
      });
    },
  );
  await step("Jaeger finds traces by each service", async () => {
    for (const service of services) {
      const spans = await jaeger.search(service);
      if (!spans.some((span) => span.service === service)) throw new Error(`no trace of ${service}`);
    }
  });
  await step("Prometheus has found every replica", () =>
    poll(async () => {
      const counts = await prometheus.targets();
      const found = services.map((service) => counts[service] ?? 0).join();
      if (found !== "1,3,1,2") throw new Error(`up: ${JSON.stringify(counts)}`);
    }),
  );
  await step("promtool takes configuration and alerts, and the alerts' tests pass", async () => {
    const promtool = (...args: string[]) => compose("exec", "-T", "prometheus", "promtool", ...args);
    await promtool("check", "config", "/etc/prometheus/prometheus.yml");
    await promtool("test", "rules", "/etc/prometheus/alerts.test.yml");
  });
  await step("chow status", async () => {
    const table = await compose("run", "--rm", "chow", "status");
    const running = table.split("\n").filter((line) => line.includes("running"));
    if (running.length !== 7) throw new Error(table);
    return `${running.length} processes running`;
  });
  await grafanaDashboards();
}

async function grafanaDashboards(): Promise<void> {
  const url = (path: string): URL => new URL(`http://127.0.0.1:${grafanaPort}/api/${path}`);
  // Where images can't be pulled something else may stand in for Grafana; it says no version.
  const { version } = await getJson<{ version?: string }>(url("health"));
  if (version === undefined) {
    console.log("skip  Grafana: what answers on its port is something else");
    return;
  }
  await step(`Grafana ${version} has the dashboards, for whoever looks`, async () => {
    const found = await getJson<{ uid: string }[]>(url("search?type=dash-db"));
    const missing = readDashboards().filter(({ uid }) => !found.some((one) => one.uid === uid));
    if (missing.length > 0) throw new Error(`no ${missing.map(({ uid }) => uid).join()}`);
  });
}

const ownServices = ["gateway", "enricher", "dedup", "store"];
const everyService = [
  ...[...ownServices, "nats", "postgres"],
  ...(isObserved ? ["jaeger", "prometheus", "grafana"] : []),
];

async function lookAtContainers(names: readonly string[]): Promise<void> {
  await step(`nobody is root, nothing can be written: ${names.join(", ")}`, async () => {
    for (const name of names) {
      const containers = await withDemo.containers(name);
      if (containers.length === 0) throw new Error(`no container of ${name}`);
      for (const container of containers) await expectHardened(withDemo, container);
    }
  });
  await step("no secret is in what Docker shows of containers and images, nor in a log", async () => {
    const password = await compose("exec", "-T", "postgres", "cat", "/run/chowhound/postgres-password");
    await expectNoSecrets(withDemo, { "the key": await readKey(), "the password": password });
  });
}

/** What the README says to type, as a project of its own name and ports. */
async function runReadme(): Promise<void> {
  const readme = await readFile(join(repositoryRoot, "README.md"), "utf8");
  const block = readShellBlocks(readme).find(({ commands }) => commands.startsWith("docker compose up"));
  if (block === undefined) throw new Error("README.md has no block that begins with docker compose up");
  for (const command of block.commands.split("\n"))
    await step(`README.md: ${command}`, async () => {
      const env = { ...process.env, ...withDemo.env };
      const { stdout } = await promisify(execFile)("sh", ["-ec", command], { cwd: repositoryRoot, env });
      if (!command.includes(" up ") && stdout.trim() === "") throw new Error("it prints nothing");
    });
}

async function killEachUnderLoad(): Promise<void> {
  const load = startLoad(`127.0.0.1:${grpcPort}`, await readKey(), "load");
  for (const service of everyService) {
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
    await compose("--profile", "*", "down", "--volumes", "--remove-orphans");
  });
  await coreAlone();
  await lookAtContainers(ownServices);
  await step("the demo producer beside the mesh alone", async () => {
    await demoAlone.compose("up", "--build", "--detach", "--wait");
    const running = (await demoAlone.compose("ps", "--services")).split("\n").sort();
    const expected = ["dedup", "demo", "enricher", "gateway", "nats", "postgres", "store"];
    if (running.join() !== expected.join()) throw new Error(running.join());
    await demoAlone.compose("down", "--volumes");
  });
  await runReadme();
  await step("down again, with its volumes", async () => {
    await withDemo.compose("--profile", "*", "down", "--volumes");
  });
  await step(
    `up with ${isObserved ? "Jaeger, Prometheus and Grafana, " : ""}3 enrichers and 2 stores`,
    async () => {
      await compose("up", "--detach", "--wait", ...scaled);
      const enrichers = (await project.containers("enricher")).length;
      const stores = (await project.containers("store")).length;
      if (enrichers !== 3 || stores !== 2) throw new Error(`${enrichers} enrichers, ${stores} stores`);
    },
  );
  if (isObserved) await observe();
  await killEachUnderLoad();
  const before = await audit();
  await step("down and up again: everything is still there", async () => {
    await compose("down");
    await compose("up", "--detach", "--wait", ...scaled);
    const after = await audit();
    if (JSON.stringify(after) !== JSON.stringify(before))
      throw new Error(`before ${JSON.stringify(before)}, after ${JSON.stringify(after)}`);
  });
  await step("a record over HTTP is a row, with the same key", async () => {
    await pushOne("second");
  });
  await step("the demo producer", async () => {
    await withDemo.compose("up", "--build", "--detach", "--wait", ...scaled);
    await until(
      "20 packages",
      "select count(*) >= 20 as done from records where source_type = 'npm-package'",
    );
    const { accepted, rows, dead_letters } = await audit();
    return `${accepted} records accepted and booked, ${rows} rows, ${dead_letters} dead letters`;
  });
  await lookAtContainers(["demo"]);
  await step("kill -9 of the demo producer: it comes back and pushes on", async () => {
    const [container] = await withDemo.containers("demo");
    await withDemo.killAndAwait(container!);
    const { accepted } = await audit();
    await until("more packages", `select sum(accepted) > ${accepted} as done from totals`);
  });
  if (!isObserved) return;
  await step("every panel of every dashboard has something to show", async () => {
    const queries = await poll(prometheus.runPanels, 90_000);
    return `${queries} queries`;
  });
}

let isGood = false;
try {
  await story();
  isGood = true;
} catch (error) {
  if (!signal.aborted) {
    console.error(`FAILED  ${(error as Error).message}`);
    console.error(await withDemo.compose("ps", "--all").catch(() => ""));
    console.error(await withDemo.compose("logs", "--tail", "15").catch(() => ""));
  }
}
try {
  await compose("--profile", "*", "down", "--volumes");
  const left = await project.leftovers();
  if (left.length > 0) throw new Error(`left behind: ${left.join(" ")}`);
  console.log("ok    down --volumes: nothing left behind");
} catch (error) {
  console.error(`FAILED  ${(error as Error).message}`);
  isGood = false;
}
console.log(isGood ? "e2e:compose OK" : "e2e:compose FAILED");
process.exitCode = isGood ? 0 : 1;
