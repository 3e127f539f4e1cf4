import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { findFreePort } from "./free-port.ts";
import { natsRelease, unpackNatsRelease } from "./nats-release.ts";

const entry = "nats-server-v0/nats-server";
let directory: string;
let archive: Buffer;
const server = createServer((request, response) => {
  if (request.url === "/moved") response.writeHead(302, { location: "/archive" }).end();
  else if (request.url === "/archive") response.end(archive);
  else if (request.url === "/missing") response.writeHead(404).end();
  // anything else never gets an answer
});
const url = (path: string) => `http://127.0.0.1:${(server.address() as AddressInfo).port}/${path}`;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "chowhound-nats-release-"));
  mkdirSync(join(directory, "nats-server-v0"));
  writeFileSync(join(directory, entry), "the server");
  execFileSync("tar", ["-czf", "made.tar.gz", "nats-server-v0"], { cwd: directory });
  archive = readFileSync(join(directory, "made.tar.gz"));
  rmEntry();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
});
afterAll(async () => {
  server.closeAllConnections();
  server.close();
  await rm(directory, { recursive: true });
});

test("names the archives of the platforms it has checksums for", () => {
  expect(natsRelease("linux", "x64").url).toMatch(/nats-server-v2\.14\.5-linux-amd64\.tar\.gz$/);
  expect(natsRelease("linux", "arm64").entry).toBe("nats-server-v2.14.5-linux-arm64/nats-server");
  expect(() => natsRelease("darwin", "arm64")).toThrow("no pinned checksum for darwin-arm64");
});

test("downloads, follows redirects, verifies and unpacks", async () => {
  const sha256 = createHash("sha256").update(archive).digest("hex");
  const path = await unpackNatsRelease({ url: url("moved"), sha256, entry }, directory);
  expect(await readFile(path, "utf8")).toBe("the server");
  rmEntry();
});

test("unpacks nothing that has another checksum", async () => {
  const release = { url: url("archive"), sha256: "0".repeat(64), entry };
  await expect(unpackNatsRelease(release, directory)).rejects.toThrow(/has the checksum .*, expected 000/);
  await expect(readFile(join(directory, entry))).rejects.toThrow("ENOENT");
});

test("fails at once for a missing file or host, and soon for one that does not answer", async () => {
  const fetchFrom = (from: string) =>
    unpackNatsRelease({ url: from, sha256: "", entry }, directory, { answerTimeoutMs: 100 });
  await expect(fetchFrom(url("missing"))).rejects.toThrow("answers 404");
  await expect(fetchFrom(`http://127.0.0.1:${await findFreePort()}/`)).rejects.toThrow("ECONNREFUSED");
  await expect(fetchFrom(url("silent"))).rejects.toThrow("no answer from 127.0.0.1");
});

function rmEntry() {
  execFileSync("rm", ["-r", "nats-server-v0"], { cwd: directory });
}
