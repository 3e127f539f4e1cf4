import { execFile } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { connect as connectTcp } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { promisify } from "node:util";
import { readConfig } from "@chowhound/shared/runtime/config";
import { natsNames } from "@chowhound/shared/stream/topology";
import { encodeSample, sampleBatch } from "@chowhound/shared/testing/sample-batches";
import { startService } from "@chowhound/shared/testing/service-runtime";
import { freshPrefix } from "@chowhound/shared/testing/test-servers";
import { jetstream } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { afterAll, beforeAll, describe, expect, inject, it, vi } from "vitest";
import { type MeshUnderTest, startMeshUnderTest } from "../e2e/mesh-under-test.ts";
import { settings as gatewaySettings } from "../services/gateway/src/config.ts";
import { createKey } from "../services/gateway/src/create-key.ts";
import { createGateway, type Gateway } from "../services/gateway/src/service.ts";
import { settings as storeSettings } from "../services/store/src/config.ts";
import { createStore } from "../services/store/src/service.ts";
import { LinesOverTcp } from "./10-lines-over-tcp.ts";
import { NdjsonFileSink } from "./11-ndjson-file-sink.ts";

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "chowhound-examples-"));
});
afterAll(() => rm(directory, { recursive: true, force: true }));

describe("the examples for producers", () => {
  let mesh: MeshUnderTest;
  beforeAll(async () => {
    mesh = await startMeshUnderTest();
    await writeFile(join(directory, "endpoints.json"), JSON.stringify(mesh.endpoints));
  }, 120_000);
  afterAll(() => mesh.remove());

  const run = async (example: string): Promise<string> => {
    const file = new URL(example, import.meta.url).pathname;
    const env = { ...process.env, CHOWHOUND_ENDPOINTS: join(directory, "endpoints.json") };
    return (await promisify(execFile)(process.execPath, [file], { env })).stdout;
  };

  it.each([
    ["01-push-json.ts", /"accepted": 1,\s+"rejected": 1.*missing_time/s, "greenhouse-1", 1],
    ["02-push-grpc.ts", /accepted 100, rejected 0/, "rack-7", 100],
    ["03-push-stream.ts", /accepted 5000 in all/, "field-station", 5000],
    ["04-read-back.ts", /reading-24: 20\.4 °C.*(a page of 10.*){2}a page of 5/s, "harbour", 25],
  ])("%s lands its records", async (example, output, source, rows) => {
    expect(await run(example)).toMatch(output);
    await mesh.untilDrained();
    expect(
      await mesh.books.query("select count(*)::int as n from records where source_id = $1", [source]),
    ).toEqual([{ n: rows }]);
  });
});

describe("the examples for builders", () => {
  const natsEnv = () => ({
    CHOWHOUND_NATS_URL: inject("natsUrl"),
    CHOWHOUND_NATS_PREFIX: freshPrefix(),
    CHOWHOUND_STREAM_MAX_BYTES: "64MiB",
  });

  it("10-lines-over-tcp.ts takes records over a protocol of its own", async () => {
    const keysFile = join(directory, "keys.json");
    const key = await createKey({ tenant: "acme", file: keysFile });
    const config = readConfig(gatewaySettings, {
      ...natsEnv(),
      CHOWHOUND_KEYS_FILE: keysFile,
      CHOWHOUND_GRPC_PORT: "0",
      CHOWHOUND_HTTP_PORT: "0",
    });
    const gateway = await startService("gateway", (runtime) =>
      createGateway(config, runtime, [new LinesOverTcp(0)]),
    );
    const [, port] = (gateway.service as Gateway).addresses.get("lines")!.split(":");
    const socket = connectTcp(Number(port), "127.0.0.1");
    await once(socket, "connect");
    const answers = createInterface({ input: socket })[Symbol.asyncIterator]();
    const record = {
      sourceType: "log",
      sourceId: "tcp",
      dataId: "1",
      data: "hi",
      updatedAt: "2026-01-01T00:00:00Z",
    };
    const ask = async (line: string): Promise<string> => {
      socket.write(`${line}\n`);
      return String((await answers.next()).value);
    };
    socket.write(`${key}\n`);
    expect(await ask(JSON.stringify(record))).toMatch(/^accepted [0-9a-f-]{36}$/);
    expect(await ask(JSON.stringify({ ...record, sourceType: "" }))).toMatch(/^rejected missing_field/);
    expect(await ask("nonsense")).toMatch(/^rejected malformed_record/);
    expect(gateway.meter.total("chowhound.records.accepted")).toBe(1);
    socket.end();
    await gateway.drain();
  });

  it("11-ndjson-file-sink.ts lands each batch once, also over a restart and a torn line", async () => {
    const path = join(directory, "records.ndjson");
    const env = natsEnv();
    const config = readConfig(storeSettings, { ...env, CHOWHOUND_DATABASE_URL: "postgres://unused" });
    const nc = await connect({ servers: env.CHOWHOUND_NATS_URL });
    const publish = async (batch: ReturnType<typeof sampleBatch>): Promise<void> => {
      await jetstream(nc).publish(
        natsNames(env.CHOWHOUND_NATS_PREFIX).subject("unique", 0),
        encodeSample(batch),
      );
    };
    const landed = async (): Promise<number> => {
      const lines = (await readFile(path, "utf8")).trim().split("\n").slice(1);
      return lines.reduce((sum, line) => sum + JSON.parse(line).records.length, 0);
    };
    const batches = Array.from({ length: 5 }, () => sampleBatch({ records: [{}, {}] }));

    const first = await startService("store", (runtime) =>
      createStore(config, runtime, new NdjsonFileSink(path)),
    );
    for (const batch of batches) await publish(batch);
    await vi.waitFor(
      () =>
        expect(first.meter.total("chowhound.records.verdicts", { "chowhound.verdict": "stored" })).toBe(10),
      { timeout: 10_000 },
    );
    await first.drain();
    expect(await landed()).toBe(10);

    // A crash in the middle of a line: that batch was never acknowledged and comes again.
    const text = await readFile(path, "utf8");
    await writeFile(path, text.slice(0, -20));
    const second = await startService("store", (runtime) =>
      createStore(config, runtime, new NdjsonFileSink(path)),
    );
    for (const batch of batches) await publish(batch);
    await vi.waitFor(() => expect(second.meter.total("chowhound.batches.already_booked")).toBe(4), {
      timeout: 10_000,
    });
    await vi.waitFor(
      () =>
        expect(second.meter.total("chowhound.records.verdicts", { "chowhound.verdict": "stored" })).toBe(2),
      { timeout: 10_000 },
    );
    expect(await landed()).toBe(10);

    // The file is taken away under a running store: its batches are not booked any more.
    const sink = new NdjsonFileSink(path);
    const { generation } = await sink.confirm([]);
    const reported = batches.map(({ batchId }) => ({ batchId, generation }));
    const before = await sink.confirm(reported);
    expect(before.allBooked).toBe(true);
    await rm(path);
    const after = await sink.confirm(reported);
    expect(after.allBooked).toBe(false);
    expect(after.generation).not.toBe(before.generation);
    await sink.close();
    await second.drain();
    await nc.close();
  });
});
