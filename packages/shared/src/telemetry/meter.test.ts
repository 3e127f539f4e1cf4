import { setTimeout as sleep } from "node:timers/promises";
import { beforeEach, describe, expect, test } from "vitest";
import { Meter } from "./meter.ts";
import {
  definitionOf,
  METRIC_NAMES,
  type MetricName,
  OTHER_TENANTS,
  SERVICES,
  TENANT,
} from "./metric-registry.ts";

let nowMs: number;
let meter: Meter;

beforeEach(() => {
  nowMs = 0;
  meter = new Meter("store", { maxTenants: 2, now: () => nowMs });
});

const seriesOf = (name: MetricName) => meter.metrics.find((metric) => metric.name === name)?.series ?? [];

describe("counting", () => {
  test("adds up per combination of attributes, in whatever order they are given", () => {
    const verdicts = "chowhound.records.verdicts";
    meter.count(verdicts, 2, { [TENANT]: "acme", "chowhound.verdict": "stored" });
    meter.count(verdicts, 3, { "chowhound.verdict": "stored", [TENANT]: "acme" });
    meter.count(verdicts, 4, { [TENANT]: "acme", "chowhound.verdict": "stale" });
    expect(seriesOf(verdicts)).toEqual([
      { attributes: { [TENANT]: "acme", "chowhound.verdict": "stored" }, value: 5 },
      { attributes: { [TENANT]: "acme", "chowhound.verdict": "stale" }, value: 4 },
    ]);
    expect(meter.total(verdicts)).toBe(9);
    expect(meter.total(verdicts, { "chowhound.verdict": "stale" })).toBe(4);
  });

  test("knows names and attributes at compile time", () => {
    const mistakes = [
      // @ts-expect-error no such metric
      () => meter.count("chowhound.typo", 1),
      // @ts-expect-error not a counter
      () => meter.count("chowhound.batch.records", 1),
      // @ts-expect-error lacks its attribute
      () => meter.count("chowhound.calls.refused", 1),
      // @ts-expect-error no such reason
      () => meter.count("chowhound.calls.refused", 1, { "chowhound.reason": "typo" }),
      // @ts-expect-error has no attributes
      () => meter.count("chowhound.redeliveries", 1, { "chowhound.reason": "stuck" }),
    ];
    expect(mistakes).toHaveLength(5);
  });

  test("gauges show the last value and can be forgotten", () => {
    meter.set("process.memory.usage", 5);
    meter.set("process.memory.usage", 3);
    expect(seriesOf("process.memory.usage")).toEqual([{ attributes: {}, value: 3 }]);
    meter.clear("process.memory.usage");
    expect(seriesOf("process.memory.usage")).toEqual([]);
  });

  test("batches are a histogram, of which the totals are read", () => {
    meter.batch(30, 9_000);
    meter.batch(10, 1_000);
    expect([meter.records, meter.batches, meter.recordsPerBatch]).toEqual([40, 2, 20]);
    expect(seriesOf("chowhound.batch.size")).toMatchObject([{ value: { count: 2, sum: 10_000 } }]);
    nowMs += 1_000;
    expect(meter.recordsPerSecond).toBe(4);
  });
});

describe("what there is from the start", () => {
  test.each(SERVICES)(
    "%s: each of its counters and histograms whose attributes are known, at 0",
    (service) => {
      const started = new Meter(service).metrics;
      const expected = METRIC_NAMES.map((name) => ({ name, ...definitionOf(name) })).filter(
        ({ kind, services, attributes }) =>
          kind !== "gauge" &&
          services.includes(service) &&
          Object.values(attributes).every((values) => values !== "open"),
      );
      expect(started.map(({ name }) => name)).toEqual(expected.map(({ name }) => name));
      const values = started.flatMap(({ series }) => series.map(({ value }) => value));
      expect(values.every((value) => (typeof value === "number" ? value : value.count) === 0)).toBe(true);
      for (const { name, series } of started) {
        const combinations = Object.values(definitionOf(name).attributes).map(({ length }) => length);
        expect(series).toHaveLength(combinations.reduce((product, count) => product * count, 1));
      }
    },
  );
});

describe("tenants", () => {
  const accept = (tenant: string, records: number) =>
    meter.count("chowhound.records.accepted", records, { [TENANT]: tenant });

  test("beyond the bound share one series, and those before keep theirs", () => {
    for (let i = 0; i < 1_000; i++) accept(`tenant-${i}`, 1);
    accept("tenant-0", 5);
    expect(
      seriesOf("chowhound.records.accepted").map(({ attributes, value }) => [attributes[TENANT], value]),
    ).toEqual([
      ["tenant-0", 6],
      ["tenant-1", 1],
      [OTHER_TENANTS, 998],
    ]);
  });

  test("are bounded over all metrics together", () => {
    accept("a", 1);
    accept("b", 1);
    meter.count("chowhound.records.verdicts", 1, { [TENANT]: "c", "chowhound.verdict": "stored" });
    expect(seriesOf("chowhound.records.verdicts")[0]?.attributes[TENANT]).toBe(OTHER_TENANTS);
  });
});

describe("a collection", () => {
  test("has the rest looked up first, once for all who collect within two seconds", async () => {
    let looks = 0;
    meter.onCollect(async () => {
      await sleep(1);
      meter.set("process.memory.usage", ++looks);
    });
    const seen = async () =>
      (await meter.collect()).find(({ name }) => name === "process.memory.usage")?.series[0]?.value;
    expect(await Promise.all([seen(), seen()])).toEqual([1, 1]);
    nowMs += 1_999;
    expect(await seen()).toBe(1);
    nowMs += 1;
    expect(await seen()).toBe(2);
  });

  test("waits for none who doesn't answer, and shows the rest where one fails", async () => {
    meter.onCollect(() => new Promise(() => {}));
    meter.onCollect(() => Promise.reject(new Error("away")));
    meter.onCollect(() => meter.set("process.memory.usage", 7));
    const collected = await meter.collect();
    expect(collected.find(({ name }) => name === "process.memory.usage")?.series[0]?.value).toBe(7);
  });
});
