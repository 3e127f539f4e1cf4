import { readdir, readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { DescService } from "@bufbuild/protobuf";
import { auditBooks } from "@chowhound/local/audit";
import { openBooks } from "@chowhound/local/books";
import { createGrpcClient, type GrpcClient } from "@chowhound/local/grpc-client";
import { SERVICES } from "@chowhound/local/mesh-service";
import { AdminService, LogLevel, ServiceState } from "@chowhound/shared/contracts/chowhound/v1/admin_service";
import { IngestionService } from "@chowhound/shared/contracts/chowhound/v1/ingestion_service";
import { RetryInfoSchema } from "@chowhound/shared/contracts/google/rpc/error_details";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import {
  Client,
  type ClientDuplexStream,
  credentials,
  status as grpcStatus,
  makeClientConstructor,
} from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { type MeshUnderTest, note, startMeshUnderTest } from "./mesh-under-test.ts";
import { createHealth, type Health, untilWatched } from "./watch-health.ts";

/** What is promised is one second; the machine may be busy with other tests. */
const WITHIN_MS = 1_500;
const WAIT = { timeout: 15_000, interval: 20 };
/** What a fetch brings that was under way when the pause came is given back; then nothing is fetched. */
const FETCH_MS = 1_200;

type Admin = GrpcClient<(typeof AdminService)["method"]>;
let mesh: MeshUnderTest;
let accepted = 0;
/** By process; the gateway's public port is "grpc". */
const admins = new Map<string, Admin>();
const healths = new Map<string, Health>();

beforeAll(async () => {
  const soon = { CHOWHOUND_ACK_WAIT: "2s" };
  mesh = await startMeshUnderTest({
    // What is sent again is to meet dedup.
    env: { gateway: { CHOWHOUND_RECALL_RECORDS: "0" }, enricher: soon, dedup: soon, store: soon },
  });
  for (const [name, address] of Object.entries(mesh.endpoints.admin)) {
    admins.set(name, createGrpcClient(AdminService, address));
    healths.set(name, createHealth(address));
  }
  healths.set("grpc", createHealth(mesh.endpoints.grpc));
}, 120_000);
afterAll(async () => {
  for (const client of [...admins.values(), ...healths.values()]) client.close();
  await mesh.remove();
});

const admin = (name: string): Admin["calls"] => admins.get(name)!.calls;
const stateOf = async (name: string): Promise<ServiceState> => (await admin(name).getStatus({})).state;

/** One call, and so one batch, for each data id. */
async function push(source: string, dataIds: readonly string[]): Promise<void> {
  for (const dataId of dataIds) {
    const receipt = await mesh.ingestUntilAccepted([note(dataId, dataId, 1, { sourceId: source })]);
    accepted += receipt.accepted;
  }
}

async function expectLanded(source: string, rows: number): Promise<void> {
  await mesh.untilDrained();
  const [found] = await mesh.books.query<{ n: number }>(
    "select count(*)::int as n from records where source_id = $1",
    [source],
  );
  expect(found!.n).toBe(rows);
  expect(await auditBooks(mesh.endpoints.admin.store!, accepted)).toEqual([]);
}

function numbers(from: number, to: number): string[] {
  return Array.from({ length: to - from + 1 }, (_, i) => String(from + i));
}

/** How a process ends that is asked to by its admin port. */
function exitCodeOf(name: string): Promise<number | null> {
  return new Promise((resolve) => mesh.process(name).onUnexpectedExit(({ exit }) => resolve(exit.code)));
}

describe("AdminService", () => {
  it("pause lets the lag of the store grow, resume brings it back to nothing, and nothing is lost", async () => {
    const lag = async () => {
      const [found] = (await admin("store").getStatus({})).lag;
      return { pending: Number(found?.pendingBatches), unacknowledged: Number(found?.unacknowledgedBatches) };
    };
    expect((await admin("store").pause({})).state).toBe(ServiceState.PAUSED);
    await sleep(FETCH_MS);
    let before = 0;
    for (const [from, to] of [
      [1, 10],
      [11, 25],
    ] as const) {
      await push("lagging", numbers(from, to));
      // Small batches may have come in one message.
      await vi.waitFor(async () => {
        const { pending, unacknowledged } = await lag();
        expect(pending).toBeGreaterThan(before);
        expect(pending).toBeLessThanOrEqual(to);
        expect(unacknowledged).toBe(0);
      }, WAIT);
      before = (await lag()).pending;
    }
    expect((await admin("dedup").getStatus({})).lag).toMatchObject([{ pendingBatches: 0n }]);
    expect(await stateOf("store")).toBe(ServiceState.PAUSED);
    expect((await admin("store").resume({})).state).toBe(ServiceState.RUNNING);
    await vi.waitFor(async () => expect(await lag()).toEqual({ pending: 0, unacknowledged: 0 }), WAIT);
    await expectLanded("lagging", 25);
  });

  it("a paused gateway refuses and says when to try again; what it had accepted lands", async () => {
    const producer = createClient(
      IngestionService,
      createGrpcTransport({ baseUrl: `http://${mesh.endpoints.grpc}` }),
    );
    await push("before-pause", numbers(1, 20));
    await admin("gateway").pause({});
    const headers = { authorization: `Bearer ${mesh.endpoints.key}` };
    const error = await producer.ingest({ records: [note("x", "x")] }, { headers }).catch(ConnectError.from);
    expect(error).toMatchObject({ code: Code.Unavailable });
    expect((error as ConnectError).findDetails(RetryInfoSchema)).toMatchObject([
      { retryDelay: { seconds: 1n } },
    ]);
    await expectLanded("before-pause", 20);
    for (const name of ["enricher", "dedup", "store"]) expect(await stateOf(name)).toBe(ServiceState.RUNNING);
    expect(await healths.get("grpc")!.list()).toMatchObject({
      "": "NOT_SERVING",
      [IngestionService.typeName]: "NOT_SERVING",
      nats: "SERVING",
      "raw-stream": "SERVING",
    });
    await admin("gateway").resume({});
    await push("after-pause", ["1"]);
    await expectLanded("after-pause", 1);
  });

  it.each(["gateway", "store"])(
    "drain of the %s finishes what is in flight and ends with code 0",
    async (name) => {
      const exitCode = exitCodeOf(name);
      const source = `drain-${name}`;
      const load = push(source, numbers(1, 100));
      const bursts = Array.from({ length: 20 }, (_, i) => push(source, [`burst-${i}`]));
      await sleep(20);
      expect((await admin(name).drain({})).state).toBe(ServiceState.DRAINING);
      expect(await exitCode).toBe(0);
      const log = await readFile(mesh.process(name).logFile, "utf8");
      expect(log).not.toContain("did not finish in time");
      await mesh.process(name).restart();
      await Promise.all([load, ...bursts]);
      await expectLanded(source, 120);
    },
  );

  it("a log level is in force at once", async () => {
    const lines = async (): Promise<string[]> =>
      (await readFile(mesh.process("dedup").logFile, "utf8"))
        .split("\n")
        .filter((line) => line.includes('"level":"debug"') && line.includes("asked the store"));
    /** Sent for the second time, a record has dedup ask the store, of which it says something at level debug. */
    const provoke = async (): Promise<number> => {
      await push("log-level", ["1"]);
      await mesh.untilDrained();
      return (await lines()).length;
    };
    await push("log-level", ["1"]);
    await mesh.untilDrained();
    // The notice of the commit travels on its own.
    await sleep(200);
    expect(await provoke()).toBe(0);
    expect(await admin("dedup").setLogLevel({ level: LogLevel.DEBUG })).toMatchObject({
      previousLevel: LogLevel.INFO,
    });
    const told = await provoke();
    expect(told).toBeGreaterThan(0);
    expect(await admin("dedup").setLogLevel({ level: LogLevel.INFO })).toMatchObject({
      previousLevel: LogLevel.DEBUG,
    });
    expect(await provoke()).toBe(told);
    await expectLanded("log-level", 1);
  });

  it("works before the process can: paused at its start it takes nothing, drained it ends with code 0", async () => {
    const postgres = mesh.process("postgres");
    const store = mesh.process("store");
    for (const process of [store, postgres]) {
      process.kill("SIGKILL");
      await process.exited();
    }
    /** Starts the store, which comes to wait for PostgreSQL. */
    const startToWait = async (): Promise<{ running: Promise<void> }> => {
      const running = store.restart();
      running.catch(() => {});
      await vi.waitFor(async () => {
        const { state, waitingFor } = await admin("store").getStatus({});
        expect({ state, waitingFor }).toEqual({
          state: ServiceState.STARTING,
          waitingFor: expect.arrayContaining([expect.stringMatching(/^postgres: connect/)]),
        });
      }, WAIT);
      return { running };
    };
    const drained = await startToWait();
    await admin("store").drain({});
    await expect(drained.running).rejects.toThrow("did not start (exit code 0)");

    const paused = await startToWait();
    expect((await admin("store").pause({})).state).toBe(ServiceState.PAUSED);
    await postgres.restart();
    mesh.books = await openBooks(mesh.endpoints.postgresUrl);
    await push("early-pause", ["1"]);
    await vi.waitFor(async () => {
      const { state, waitingFor, lag } = await admin("store").getStatus({});
      expect({ state, waitingFor, lag }).toMatchObject({
        state: ServiceState.PAUSED,
        waitingFor: [],
        lag: [{ pendingBatches: 1n, unacknowledgedBatches: 0n }],
      });
    }, WAIT);
    expect((await admin("store").resume({})).state).toBe(ServiceState.RUNNING);
    await paused.running;
    await expectLanded("early-pause", 1);
  });
});

describe("grpc.health.v1", () => {
  /** The whole, and what hangs on NATS. */
  const onNats = () =>
    [
      ["gateway", ["", "nats", "raw-stream"]],
      ["grpc", ["", IngestionService.typeName, "nats"]],
      ["enricher", ["", "nats", "raw-stream"]],
      ["dedup", ["", "nats", "enriched-stream"]],
      ["store", ["", "nats", "unique-stream"]],
    ].map(([name, services]) => [name, healths.get(name as string)!, services] as [string, Health, string[]]);
  const onPostgres = (): [string, Health, string[]][] => [["store", healths.get("store")!, ["", "postgres"]]];
  const unharmed = (): [string, Health, string[]][] => [
    ...["grpc", "gateway", "enricher", "dedup"].map((name): [string, Health, string[]] => [
      name,
      healths.get(name)!,
      [""],
    ]),
    ["store", healths.get("store")!, ["nats", "unique-stream"]],
  ];
  const backends = async (): Promise<number[]> =>
    (
      await mesh.books.query<{ pid: number }>(
        "select pid from pg_stat_activity where pid <> pg_backend_pid()",
      )
    ).map(({ pid }) => pid);

  it.each([...SERVICES, "grpc"])("answers Check, List and Watch on the port of %s", async (name) => {
    const health = healths.get(name)!;
    await vi.waitFor(async () => expect(await health.check("")).toBe("SERVING"), WAIT);
    const statuses = await health.list();
    expect(statuses).toMatchObject({ "": "SERVING", nats: "SERVING" });
    expect(new Set(Object.values(statuses))).toEqual(new Set(["SERVING"]));
    await expect(health.check("nobody")).rejects.toMatchObject({ code: grpcStatus.NOT_FOUND });
    const watching = [[name, health, ["nobody"]]] as const;
    expect(await untilWatched(watching, "SERVICE_UNKNOWN", WITHIN_MS)).toEqual([]);
  });

  it("tells within a second that NATS has been killed, and that it is back", async () => {
    const nats = mesh.process("nats");
    expect(await untilWatched(onNats(), "SERVING", 15_000)).toEqual([]);
    nats.kill("SIGKILL");
    expect(await untilWatched(onNats(), "NOT_SERVING", WITHIN_MS)).toEqual([]);
    expect(await healths.get("store")!.check("postgres")).toBe("SERVING");
    await nats.exited();
    // Long enough for whatever is tried again at growing intervals to have become slow.
    await sleep(3_000);
    await nats.restart();
    expect(await untilWatched(onNats(), "SERVING", WITHIN_MS)).toEqual([]);
  });

  it("tells within a second that NATS is frozen, and that it goes on", async () => {
    expect(await untilWatched(onNats(), "SERVING", 15_000)).toEqual([]);
    mesh.process("nats").kill("SIGSTOP");
    try {
      expect(await untilWatched(onNats(), "NOT_SERVING", WITHIN_MS)).toEqual([]);
      await sleep(1_000);
    } finally {
      mesh.process("nats").kill("SIGCONT");
    }
    expect(await untilWatched(onNats(), "SERVING", WITHIN_MS)).toEqual([]);
  });

  it("tells within a second that PostgreSQL has been killed under load, and that it is back", async () => {
    const postgres = mesh.process("postgres");
    expect(await untilWatched(onPostgres(), "SERVING", 15_000)).toEqual([]);
    const load = push("postgres-killed", numbers(1, 200));
    await sleep(50);
    postgres.kill("SIGKILL");
    expect(await untilWatched(onPostgres(), "NOT_SERVING", WITHIN_MS)).toEqual([]);
    expect(await untilWatched(unharmed(), "SERVING", WITHIN_MS)).toEqual([]);
    await postgres.exited();
    await sleep(2_000);
    await postgres.restart();
    expect(await untilWatched(onPostgres(), "SERVING", WITHIN_MS)).toEqual([]);
    mesh.books = await openBooks(mesh.endpoints.postgresUrl);
    await load;
    await expectLanded("postgres-killed", 200);
  });

  it("tells within a second that PostgreSQL is frozen, and that it goes on", async () => {
    expect(await untilWatched(onPostgres(), "SERVING", 15_000)).toEqual([]);
    const frozen = await backends();
    const signal = (name: NodeJS.Signals): void => {
      mesh.process("postgres").kill(name);
      for (const pid of frozen) process.kill(pid, name);
    };
    signal("SIGSTOP");
    try {
      expect(await untilWatched(onPostgres(), "NOT_SERVING", WITHIN_MS)).toEqual([]);
      expect(await untilWatched(unharmed(), "SERVING", WITHIN_MS)).toEqual([]);
      // Longer than a connection waits for an answer: it is a new one that finds PostgreSQL again.
      await sleep(2_500);
    } finally {
      signal("SIGCONT");
    }
    expect(await untilWatched(onPostgres(), "SERVING", WITHIN_MS)).toEqual([]);
  });
});

describe("server reflection", () => {
  const address = (name: string): string =>
    name === "grpc" ? mesh.endpoints.grpc : mesh.endpoints.admin[name]!;

  it.each([...SERVICES, "grpc"])("lists exactly what is served on the port of %s", async (name) => {
    const served = ["grpc.health.v1.Health"];
    for (const service of await publicServices())
      if (await isServed(service, address(name))) served.push(service.typeName);
    expect(served.length).toBeGreaterThan(1);
    for (const version of ["v1", "v1alpha"])
      expect((await listServices(version, address(name))).toSorted()).toEqual(served.toSorted());
  });
});

/** Every service that the contracts have. */
async function publicServices(): Promise<DescService[]> {
  const folder = new URL("../packages/shared/src/contracts/gen/chowhound/v1/", import.meta.url);
  const files = (await readdir(folder)).filter((file) => file.endsWith("_service_pb.ts"));
  const modules = await Promise.all(files.map((file) => import(new URL(file, folder).href)));
  const isService = (value: unknown): value is DescService => (value as DescService).kind === "service";
  return modules.flatMap((module) => Object.values(module).filter(isService));
}

/** Whether the port knows the service: a request that can't be read has no effect, and is refused for another reason. */
function isServed(service: DescService, address: string): Promise<boolean> {
  const client = new Client(address, credentials.createInsecure());
  const path = `/${service.typeName}/${service.methods[0]!.name}`;
  const asIs = (bytes: Buffer): Buffer => bytes;
  return new Promise<boolean>((resolve) => {
    client.makeUnaryRequest(path, asIs, asIs, Buffer.from([0xff]), (error) =>
      resolve(error?.code !== grpcStatus.UNIMPLEMENTED),
    );
  }).finally(() => client.close());
}

interface ServiceList {
  list_services_response: { service: { name: string }[] };
}

function listServices(version: string, address: string): Promise<string[]> {
  const { resolve } = createRequire(createRequire(import.meta.url).resolve("@chowhound/shared/package.json"));
  const directory = dirname(resolve("@grpc/reflection/package.json"));
  const file = join(directory, `build/proto/grpc/reflection/${version}/reflection.proto`);
  const definition = loadSync(file, { keepCase: true })[`grpc.reflection.${version}.ServerReflection`];
  const Reflection = makeClientConstructor(definition as never, "ServerReflection");
  const client = new Reflection(address, credentials.createInsecure());
  const stream: ClientDuplexStream<object, ServiceList> = client.ServerReflectionInfo!();
  return new Promise<string[]>((resolve, reject) => {
    stream.on("data", (answer: ServiceList) =>
      resolve(answer.list_services_response.service.map(({ name }) => name)),
    );
    stream.on("error", reject);
    stream.write({ list_services: "" });
  }).finally(() => {
    stream.end();
    client.close();
  });
}
