import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { findFreePort } from "@chowhound/local/free-port";
import { startNatsServer } from "@chowhound/local/nats-server";
import { natsNames } from "@chowhound/shared/stream/topology";
import { status } from "@grpc/grpc-js";
import { jetstreamManager } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { describe, expect, inject, it, vi } from "vitest";
import { createKey } from "./create-key.ts";
import {
  bearer,
  describeError,
  encodeRequest,
  failure,
  goodRecord,
  grpcClient,
  ingest,
  readRaw,
  startTestGateway,
  type TestGateway,
} from "./test-gateway.ts";

const pushOne = async (test: TestGateway, dataId = "a") => {
  const client = grpcClient(test.grpcAddress);
  try {
    return await ingest(client, bearer(test.acmeKey), encodeRequest([goodRecord(dataId)]));
  } finally {
    client.close();
  }
};

async function withTempDir<T>(run: (directory: string) => Promise<T>): Promise<T> {
  const directory = await mkdtemp(join(tmpdir(), "chowhound-test-"));
  try {
    return await run(directory);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

describe("the gateway", () => {
  it("opens its doors at once, is not ready without NATS, and recovers from its coming, going and coming", () =>
    withTempDir(async (dataDir) => {
      const port = await findFreePort();
      const binary = { path: inject("natsBinary"), version: inject("natsVersion") };
      const startNats = () =>
        startNatsServer({ binary, dataDir, port, maxFileStoreBytes: 256 * 1024 ** 2, log: () => {} });
      const test = await startTestGateway(`nats://127.0.0.1:${port}`);
      let nats: Awaited<ReturnType<typeof startNats>> | undefined;
      try {
        expect(await failure(pushOne(test))).toMatchObject({
          code: status.UNAVAILABLE,
          reason: "not_ready",
          retryMs: 1_000,
        });
        nats = await startNats();
        await test.started;
        expect((await pushOne(test, "one")).accepted).toBe(1);
        await nats.stop();
        await vi.waitFor(
          async () => expect(await failure(pushOne(test))).toMatchObject({ reason: "not_ready" }),
          10_000,
        );
        nats = await startNats();
        await vi.waitFor(() => pushOne(test, "two"), { timeout: 10_000, interval: 200 });
        expect(await readRaw(test.config)).toHaveLength(2);
      } finally {
        await test.stop();
        await nats?.stop();
      }
    }));

  it("makes the stream anew where somebody removed it", async () => {
    const test = await startTestGateway(inject("natsUrl"));
    try {
      await test.started;
      const nc = await connect({ servers: new URL(test.config.natsUrls[0]!).host });
      await (await jetstreamManager(nc)).streams.delete(natsNames(test.config.natsPrefix).stream("raw"));
      await nc.close();
      expect(await failure(pushOne(test))).toMatchObject({
        code: status.UNAVAILABLE,
        reason: "not_acknowledged",
      });
      await vi.waitFor(() => pushOne(test), { timeout: 10_000, interval: 100 });
    } finally {
      await test.stop();
    }
  });

  it("says when the mesh is full and when to try again", async () => {
    const test = await startTestGateway(inject("natsUrl"), { streamMaxBytes: 300_000 });
    const client = grpcClient(test.grpcAddress);
    try {
      await test.started;
      const push = () =>
        ingest(
          client,
          bearer(test.acmeKey),
          encodeRequest([
            goodRecord("a", { rawPayload: { content: randomBytes(90_000), contentType: "image/png" } }),
          ]),
        );
      let accepted = 0;
      let refusal: unknown;
      while (refusal === undefined && accepted < 10) {
        await push().then(
          () => accepted++,
          (error: unknown) => {
            refusal = error;
          },
        );
      }
      expect(accepted).toBe(3);
      expect(describeError(refusal)).toMatchObject({
        code: status.RESOURCE_EXHAUSTED,
        reason: "mesh_full",
        retryMs: 1_000,
      });
      expect(test.meter.total("chowhound.calls.refused", { "chowhound.reason": "mesh_full" })).toBe(1);
      expect(await readRaw(test.config)).toHaveLength(3);
    } finally {
      client.close();
      await test.stop();
    }
  });

  it("refuses calls while it is paused and takes them when it is resumed", async () => {
    const test = await startTestGateway(inject("natsUrl"));
    try {
      await test.started;
      test.gateway.pause();
      expect(await failure(pushOne(test))).toMatchObject({ code: status.UNAVAILABLE, reason: "paused" });
      test.gateway.resume();
      expect((await pushOne(test)).accepted).toBe(1);
    } finally {
      await test.stop();
    }
  });

  it("answers every call that it took before it drains", async () => {
    const test = await startTestGateway(inject("natsUrl"));
    await test.started;
    const client = grpcClient(test.grpcAddress);
    const calls = Array.from({ length: 200 }, (_, index) =>
      ingest(client, bearer(test.acmeKey), encodeRequest([goodRecord(`d${index}`)])).then(
        () => "accepted",
        (error: unknown) => describeError(error).reason ?? `code ${describeError(error).code}`,
      ),
    );
    await calls[0];
    await test.stop();
    const answers = await Promise.all(calls);
    client.close();
    const accepted = answers.filter((answer) => answer === "accepted").length;
    expect(accepted).toBeGreaterThan(0);
    const inRaw = (await readRaw(test.config)).reduce((sum, batch) => sum + batch.originals.length, 0);
    expect(inRaw).toBe(accepted);
  });

  it("drains also before it has found NATS", async () => {
    const test = await startTestGateway(`nats://127.0.0.1:${await findFreePort()}`);
    await test.stop();
    await expect(test.started).rejects.toThrow();
  });
});

describe("the process", () => {
  it("ends with code 1 and names the variable where a public port is taken", () =>
    withTempDir(async (directory) => {
      const taken = createServer();
      await new Promise<void>((resolve) => taken.listen(0, "127.0.0.1", resolve));
      const { port } = taken.address() as { port: number };
      const keysFile = join(directory, "keys.json");
      await createKey({ tenant: "acme", file: keysFile });
      try {
        for (const [taking, other] of [
          ["CHOWHOUND_GRPC_PORT", "CHOWHOUND_HTTP_PORT"],
          ["CHOWHOUND_HTTP_PORT", "CHOWHOUND_GRPC_PORT"],
        ] as const) {
          const child = spawn(process.execPath, [join(import.meta.dirname, "main.ts")], {
            env: { PATH: process.env.PATH, CHOWHOUND_KEYS_FILE: keysFile, [taking]: `${port}`, [other]: "0" },
            stdio: ["ignore", "ignore", "pipe"],
          });
          let log = "";
          child.stderr.setEncoding("utf8").on("data", (chunk) => {
            log += chunk;
          });
          const code = await new Promise((resolve) => child.on("close", resolve));
          expect(code).toBe(1);
          expect(log).toMatch(/"level":"fatal".*cannot start: .*cannot listen on 127\.0\.0\.1/);
          expect(log).toContain(taking);
        }
      } finally {
        taken.close();
      }
    }));
});
