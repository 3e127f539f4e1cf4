import { DurabilityLevel } from "@chowhound/shared/contracts/chowhound/v1/ingestion_service";
import { describe, expect, it, test } from "vitest";
import { judgeAccept, type StreamFact } from "./judge-accept.ts";
import type { SyncFact } from "./nats-monitor.ts";

const always: SyncFact = { kind: "always" };
const periodic: SyncFact = { kind: "periodic", intervalMs: 120_000 };
const unknown: SyncFact = { kind: "unknown", why: "no answer" };
const stream = (more: Partial<StreamFact> = {}): StreamFact => ({
  name: "raw",
  storage: "file",
  replicas: 1,
  isAsync: false,
  ...more,
});
const judge = (streams: StreamFact[], syncs: SyncFact[], version = "2.14.5") =>
  judgeAccept(streams, { version, syncs: new Map(syncs.map((sync, index) => [`n${index + 1}`, sync])) });

const one = [stream()];
const three = [stream({ replicas: 3 })];
const mixed = [stream({ replicas: 3 }), stream({ name: "unique" })];

describe("an acknowledgement is worth", () => {
  test.each<[string, StreamFact[], SyncFact[], keyof typeof DurabilityLevel]>([
    ["the disk, where the server syncs first", one, [always], "SYNCED"],
    ["the page cache, where it syncs at times", one, [periodic], "WRITTEN"],
    ["nobody knows what, where it doesn't tell", one, [unknown], "UNKNOWN"],
    ["nobody knows what, without a server", [], [], "UNKNOWN"],
    ["a majority, where there are replicas", three, [periodic, periodic, periodic], "REPLICATED"],
    ["a majority, also where the servers don't tell", three, [unknown, unknown, unknown], "REPLICATED"],
    ["a majority of disks", three, [always, always, always], "SYNCED_REPLICATED"],
    ["a majority, where one syncs at times", three, [always, always, periodic], "REPLICATED"],
    ["one disk, where one stream has one replica", mixed, [always, always, always], "SYNCED"],
    ["the page cache, where that one's server doesn't sync", mixed, [always, always, periodic], "WRITTEN"],
    ["memory, where a stream is in memory", [stream(), stream({ storage: "memory" })], [always], "MEMORY"],
    ["memory, where a stream acknowledges first", [stream({ isAsync: true })], [always], "MEMORY"],
  ])("%s", (_, streams, syncs, level) => {
    expect(judge(streams, syncs).level).toBe(DurabilityLevel[level]);
  });
});

describe("the warnings", () => {
  it("are none only where a power failure loses nothing", () => {
    expect(judge(one, [always]).warnings).toEqual([]);
    expect(judge(three, [always, always, always]).warnings).toEqual([]);
    for (const sync of [periodic, unknown])
      expect(judge(three, [always, sync, always]).warnings).toHaveLength(1);
  });

  it("name the server, the setting and the remedy", () => {
    const [first, second] = judge(one, [periodic, unknown]).warnings;
    expect(first).toMatch(/n1 .* every 120s.*"sync_interval: always"/);
    expect(second).toMatch(/n2 .*not known \(no answer\).*CHOWHOUND_NATS_MONITOR_URL/);
  });

  it("name the stream", () => {
    expect(judge([stream({ name: "x-raw", storage: "memory" })], [always]).warnings.join()).toContain(
      "x-raw",
    );
    expect(judge([stream({ name: "x-raw", isAsync: true })], [always]).warnings.join()).toContain("async");
  });
});

test.each(["2.9.10", "1.4.0"])("nothing is promised of nats-server %s", (version) => {
  const { level, warnings } = judge(three, [periodic, periodic, periodic], version);
  expect(level).toBe(DurabilityLevel.UNKNOWN);
  expect(warnings).toMatchObject([expect.stringContaining(version)]);
});
