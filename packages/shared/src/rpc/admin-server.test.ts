import { create } from "@bufbuild/protobuf";
import {
  AdminService,
  type GetStatusResponse,
  LogLevel,
  SetLogLevelRequestSchema,
} from "@chowhound/shared/contracts/chowhound/v1/admin_service";
import {
  ApplyPipelineRequestSchema,
  GetPipelineRequestSchema,
  PipelineService,
} from "@chowhound/shared/contracts/chowhound/v1/pipeline_service";
import {
  type Client,
  type ClientReadableStream,
  credentials,
  status as grpcStatus,
  makeClientConstructor,
  type ServiceDefinition,
  type ServiceError,
} from "@grpc/grpc-js";
import { service as healthService } from "grpc-health-check";
import { pino } from "pino";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { CallError } from "../errors/call-error.ts";
import type { Logger } from "../runtime/logger.ts";
import { ServiceState, ServiceStatus } from "../runtime/service-status.ts";
import { Meter } from "../telemetry/meter.ts";
import { type AdminServer, type AdminTarget, startAdminServer } from "./admin-server.ts";
import { grpcServiceDefinition, unaryHandlers } from "./grpc-service.ts";

const HOST = "127.0.0.1";

let status: ServiceStatus;
let meter: Meter;
let log: Logger;
let logged: Record<string, unknown>[];
let target: AdminTarget;
let server: AdminServer;
const clients: Client[] = [];

beforeEach(async () => {
  status = new ServiceStatus();
  meter = new Meter("store");
  logged = [];
  log = pino({}, { write: (line: string) => void logged.push(JSON.parse(line)) });
  target = {
    service: "store",
    version: "1.2.3",
    instanceId: "0b6d",
    status,
    meter,
    log,
    lag: async () => [],
    pause: vi.fn(() => {
      status.state = ServiceState.PAUSED;
    }),
    resume: vi.fn(() => {
      status.state = ServiceState.RUNNING;
    }),
    drain: vi.fn(() => {
      status.state = ServiceState.DRAINING;
    }),
  };
  const pipelines = unaryHandlers(
    PipelineService,
    {
      listPipelines: async () => ({ pipelines: [{ tenantId: "acme", version: 3n }] }),
      getPipeline: async ({ tenantId }) => {
        throw new CallError("pipeline_not_found", `none for ${tenantId}`, { metadata: { tenant: tenantId } });
      },
      applyPipeline: async () => {
        throw new Error("inside");
      },
      testPipeline: async () => ({}),
    },
    (method, error) => log.error({ err: error, method }, "call failed"),
  );
  server = await startAdminServer(target, {
    host: HOST,
    port: 0,
    extras: [{ service: PipelineService, handlers: pipelines }],
  });
});
afterEach(async () => {
  for (const client of clients.splice(0)) client.close();
  await server.close();
});

function clientOf(definition: ServiceDefinition): Client {
  const Constructor = makeClientConstructor(definition, "service");
  const client = new Constructor(`${HOST}:${server.port}`, credentials.createInsecure());
  clients.push(client);
  return client;
}

type Unary = (request: object, callback: (error: ServiceError | null, response: unknown) => void) => void;

function call<T>(client: Client, method: string, request: object = {}): Promise<T> {
  return new Promise((resolve, reject) => {
    const run = client[method as keyof Client] as unknown as Unary;
    run.call(client, request, (error, response) => (error === null ? resolve(response as T) : reject(error)));
  });
}

const admin = (): Client => clientOf(grpcServiceDefinition(AdminService));
const health = (): Client => clientOf(healthService as ServiceDefinition);
const getStatus = (client = admin()) => call<GetStatusResponse>(client, "getStatus");

describe("health", () => {
  const check = (service: string) => call<{ status: string }>(health(), "check", { service });

  test("of the whole and of each dependency follows the status", async () => {
    expect(await check("")).toEqual({ status: "NOT_SERVING" });
    const nats = status.dependency("nats");
    status.state = ServiceState.RUNNING;
    expect(await check("nats")).toEqual({ status: "NOT_SERVING" });
    expect(await check("")).toEqual({ status: "NOT_SERVING" });
    nats.up();
    expect(await check("nats")).toEqual({ status: "SERVING" });
    expect(await check("")).toEqual({ status: "SERVING" });
    nats.down("connection lost");
    expect(await check("")).toEqual({ status: "NOT_SERVING" });
  });

  test("of a service that isn't there is NOT_FOUND", async () => {
    await expect(check("nobody")).rejects.toMatchObject({ code: grpcStatus.NOT_FOUND });
  });

  test("can be watched: changes come within a second", async () => {
    const nats = status.dependency("nats");
    const client = health();
    const watch = client["watch" as keyof Client] as unknown as (
      request: object,
    ) => ClientReadableStream<{ status: string }>;
    const seen: string[] = [];
    const stream = watch.call(client, { service: "" });
    stream.on("data", ({ status }: { status: string }) => seen.push(status));
    stream.on("error", () => {});
    const last = (expected: string) => vi.waitFor(() => expect(seen.at(-1)).toBe(expected), 1_000);
    await last("NOT_SERVING");
    status.state = ServiceState.RUNNING;
    nats.up();
    await last("SERVING");
    status.state = ServiceState.PAUSED;
    await last("NOT_SERVING");
    status.state = ServiceState.RUNNING;
    await last("SERVING");
    nats.down("lost");
    await last("NOT_SERVING");
    stream.cancel();
  });

  test("lists everything with its health", async () => {
    status.dependency("nats").up();
    status.dependency("postgres");
    status.state = ServiceState.RUNNING;
    const { statuses } = await call<{ statuses: Record<string, unknown> }>(health(), "list");
    expect(statuses).toEqual({
      "": { status: "NOT_SERVING" },
      nats: { status: "SERVING" },
      postgres: { status: "NOT_SERVING" },
    });
  });
});

describe("GetStatus", () => {
  test("tells what the process is, does and has done", async () => {
    status.dependency("nats").up();
    status.dependency("postgres").down("refused");
    status.state = ServiceState.RUNNING;
    meter.batch(5, 1_000);
    meter.batch(7, 1_000);
    for (const tenant of ["acme", "umbrella"])
      meter.count("chowhound.records.verdicts", 2 ** 40, {
        "chowhound.tenant_id": tenant,
        "chowhound.verdict": "stored",
      });
    meter.count("chowhound.redeliveries", 3);
    meter.set("process.cpu.time", 1.5, { "cpu.mode": "user" });
    target.lag = async () => [
      {
        stream: "c-unique",
        stage: "store",
        consumer: "store-1",
        pendingBatches: 3,
        unacknowledgedBatches: 2,
        pendingRecordsEstimate: 18,
        oldestAgeMs: 1_500,
        streamFill: 0.5,
      },
    ];
    const answer = await getStatus();
    expect(answer).toMatchObject({
      service: "store",
      version: "1.2.3",
      instanceId: "0b6d",
      state: ServiceState.RUNNING,
      waitingFor: ["postgres: refused"],
      logLevel: LogLevel.INFO,
      throughput: { records: 12n, batches: 2n, recordsPerSecond: expect.any(Number) },
      lag: [
        {
          stream: "c-unique",
          consumer: "store-1",
          pendingBatches: 3n,
          unacknowledgedBatches: 2n,
          pendingRecordsEstimate: 18n,
          oldestAge: { seconds: 1n, nanos: 500_000_000 },
        },
      ],
    });
    expect(answer.counters).toEqual({
      "chowhound.records.verdicts{chowhound.verdict=stored}": 2n ** 41n,
      "chowhound.redeliveries": 3n,
    });
    expect(Number(answer.startedAt!.seconds)).toBe(Math.floor(status.startedAt.getTime() / 1000));
    expect(answer.uptime!.seconds).toBeLessThan(60n);
  });

  test("answers while the lag can't be told", async () => {
    target.lag = () => Promise.reject(new Error("NATS is away"));
    expect(await getStatus()).toMatchObject({ service: "store", lag: [] });
  });
});

describe("Pause, Resume, Drain", () => {
  test("act on the service and answer with the state after it", async () => {
    status.state = ServiceState.RUNNING;
    const client = admin();
    expect(await call(client, "pause")).toMatchObject({ state: ServiceState.PAUSED });
    expect(target.pause).toHaveBeenCalledOnce();
    expect(await getStatus(client)).toMatchObject({ state: ServiceState.PAUSED });
    expect(await call(client, "resume")).toMatchObject({ state: ServiceState.RUNNING });
    expect(target.resume).toHaveBeenCalledOnce();
    expect(await call(client, "drain")).toMatchObject({ state: ServiceState.DRAINING });
    expect(target.drain).toHaveBeenCalledOnce();
  });

  test("a draining process can be neither paused nor resumed", async () => {
    status.state = ServiceState.DRAINING;
    const client = admin();
    for (const method of ["pause", "resume"])
      await expect(call(client, method)).rejects.toMatchObject({ code: grpcStatus.UNAVAILABLE });
    expect(target.pause).not.toHaveBeenCalled();
    expect(target.resume).not.toHaveBeenCalled();
    expect(await call(client, "drain")).toMatchObject({ state: ServiceState.DRAINING });
  });

  test("Resume answers with what the process does then: it may not be running yet", async () => {
    target.resume = () => {
      status.state = ServiceState.STARTING;
    };
    status.state = ServiceState.PAUSED;
    // The handlers hold on to the target, not to its functions of the start.
    expect(await call(admin(), "resume")).toMatchObject({ state: ServiceState.STARTING });
  });
});

describe("SetLogLevel", () => {
  const setLogLevel = (level: LogLevel) => create(SetLogLevelRequestSchema, { level });

  test("changes the level at once and tells the one before", async () => {
    const client = admin();
    log.debug("not yet");
    const answer = await call(client, "setLogLevel", setLogLevel(LogLevel.DEBUG));
    expect(answer).toMatchObject({ previousLevel: LogLevel.INFO });
    log.debug("now");
    expect(logged.map(({ msg }) => msg)).toEqual(["now"]);
    expect(await getStatus(client)).toMatchObject({ logLevel: LogLevel.DEBUG });
    expect(await call(client, "setLogLevel", setLogLevel(LogLevel.ERROR))).toMatchObject({
      previousLevel: LogLevel.DEBUG,
    });
    expect(log.level).toBe("error");
  });

  test.each([LogLevel.UNSPECIFIED, 99 as LogLevel])("refuses the level %i", async (level) => {
    await expect(call(admin(), "setLogLevel", setLogLevel(level))).rejects.toMatchObject({
      code: grpcStatus.INVALID_ARGUMENT,
    });
    expect(log.level).toBe("info");
  });
});

describe("a further service", () => {
  const pipelines = (): Client => clientOf(grpcServiceDefinition(PipelineService));

  test("answers", async () => {
    const { pipelines: list } = await call<{ pipelines: unknown[] }>(pipelines(), "listPipelines");
    expect(list).toMatchObject([{ tenantId: "acme", version: 3n }]);
  });

  test("fails with the status of a call error and its details", async () => {
    const failure = call(pipelines(), "getPipeline", create(GetPipelineRequestSchema, { tenantId: "acme" }));
    await expect(failure).rejects.toMatchObject({ code: grpcStatus.NOT_FOUND, details: "none for acme" });
    const error = (await failure.catch((error: unknown) => error)) as ServiceError;
    const [details] = error.metadata.get("grpc-status-details-bin");
    expect(details!.toString("latin1")).toContain("pipeline_not_found");
    expect(logged).toEqual([]);
  });

  test("fails as INTERNAL on anything else; only the log knows why", async () => {
    const error = (await call(pipelines(), "applyPipeline", create(ApplyPipelineRequestSchema)).catch(
      (error: unknown) => error,
    )) as ServiceError;
    expect(error.code).toBe(grpcStatus.INTERNAL);
    expect(`${error.message} ${error.metadata.get("grpc-status-details-bin")}`).not.toContain("inside");
    expect(logged).toMatchObject([{ err: { message: "inside" }, method: "ApplyPipeline" }]);
  });
});

describe("a method that isn't there", () => {
  test("is UNIMPLEMENTED", async () => {
    const definition = grpcServiceDefinition(AdminService);
    const client = clientOf({
      getStatus: { ...definition.getStatus!, path: "/chowhound.v1.AdminService/Explode" },
    });
    await expect(getStatus(client)).rejects.toMatchObject({ code: grpcStatus.UNIMPLEMENTED });
  });
});

describe("the port", () => {
  test("that is taken rejects, and says which", async () => {
    const again = startAdminServer(target, { host: HOST, port: server.port });
    await expect(again).rejects.toThrow(`cannot listen on ${HOST}:${server.port}`);
  });

  test("is free again after close, also while somebody watches", async () => {
    const client = health();
    const watch = client["watch" as keyof Client] as unknown as (
      request: object,
    ) => ClientReadableStream<object>;
    const ended = new Promise<void>((resolve) => {
      const stream = watch.call(client, { service: "" });
      stream.on("error", () => resolve());
      stream.resume();
    });
    await call(client, "check", { service: "" });
    const { port } = server;
    await server.close();
    await ended;
    client.close();
    server = await startAdminServer(target, { host: HOST, port });
    expect(server.port).toBe(port);
  });
});
