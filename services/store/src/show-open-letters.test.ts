import { Meter } from "@chowhound/shared/telemetry/meter";
import { OTHER_TENANTS } from "@chowhound/shared/telemetry/metric-registry";
import { expect, test } from "vitest";
import type { DeadLetterArchive } from "./dead-letter-archive.ts";
import { showOpenLetters } from "./show-open-letters.ts";

type Counts = Awaited<ReturnType<DeadLetterArchive["countOpenByTenant"]>>;

/** What the gauge says at each collection, by tenant. */
function setUp(countOpenByTenant: () => Promise<Counts>, maxTenants = 200) {
  let nowMs = 0;
  const meter = new Meter("store", { maxTenants, now: () => nowMs });
  showOpenLetters(meter, { countOpenByTenant }, () => nowMs);
  return async (atMs: number) => {
    nowMs = atMs;
    const metrics = await meter.collect();
    const series = metrics.find(({ name }) => name === "chowhound.dead_letters.open")?.series ?? [];
    return Object.fromEntries(
      series.map(({ attributes, value }) => [attributes["chowhound.tenant_id"], value]),
    );
  };
}

test("tells of each tenant's, asks every ten seconds at most, and forgets who has none any more", async () => {
  const answers: Counts[] = [
    [
      { tenantId: "acme", count: 3 },
      { tenantId: "umbrella", count: 1 },
    ],
    [{ tenantId: "umbrella", count: 2 }],
  ];
  const collect = setUp(async () => answers.shift()!);
  expect(await collect(0)).toEqual({ acme: 3, umbrella: 1 });
  expect(await collect(9_000)).toEqual({ acme: 3, umbrella: 1 });
  expect(await collect(12_000)).toEqual({ umbrella: 2 });
});

test("adds up the tenants beyond the bound", async () => {
  const counts = ["a", "b", "c"].map((tenantId, i) => ({ tenantId, count: i + 1 }));
  expect(await setUp(async () => counts, 1)(0)).toEqual({ a: 1, [OTHER_TENANTS]: 5 });
});

test("says nothing while the sink is away", async () => {
  const answers = [Promise.resolve([{ tenantId: "a", count: 1 }]), Promise.reject(new Error("away"))];
  answers[1]!.catch(() => {});
  const collect = setUp(() => answers.shift()!);
  expect(await collect(0)).toEqual({ a: 1 });
  expect(await collect(20_000)).toEqual({});
});
