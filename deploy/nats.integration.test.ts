import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { findFreePort } from "@chowhound/local/free-port";
import { expect, inject, test, vi } from "vitest";
import { askMonitor } from "../services/gateway/src/nats-monitor.ts";

test("NATS as shipped syncs before it acknowledges", async (context) => {
  context.skip(!inject("natsIsCurrent"), "nats-server 2.9 can't sync before it acknowledges");
  const directory = await mkdtemp(join(tmpdir(), "chowhound-deploy-"));
  const [port, monitorPort] = [await findFreePort(), await findFreePort()];
  const shipped = await readFile(join(import.meta.dirname, "nats/nats-server.conf"), "utf8");
  const config = shipped
    .replace("store_dir: /data", `store_dir: "${directory}"`)
    .replace("0.0.0.0:8222", `127.0.0.1:${monitorPort}`);
  const file = join(directory, "nats-server.conf");
  await writeFile(file, config);
  const server = spawn(inject("natsBinary"), ["--config", file, "--addr", "127.0.0.1", "--port", `${port}`], {
    env: { ...process.env, NATS_MAX_FILE_STORE: "64MB" },
    stdio: "ignore",
  });
  const exited = once(server, "exit");
  try {
    const answer = await vi.waitFor(() => askMonitor(`http://127.0.0.1:${monitorPort}`), 10_000);
    expect(answer).toEqual({ server: "chowhound", sync: { kind: "always" } });
  } finally {
    server.kill("SIGKILL");
    await exited;
    await rm(directory, { recursive: true, force: true });
  }
});
