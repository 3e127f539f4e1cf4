import { describe, expect, test } from "vitest";
import { definitionOf, METRIC_NAMES } from "./metric-registry.ts";
import { prometheusLabel, prometheusName, prometheusNames } from "./prometheus-names.ts";

// As github.com/prometheus/otlptranslator translates them: metric_namer.go, normalizeName.
test.each([
  ["http.server.duration", "histogram", "s", "http_server_duration_seconds"],
  ["process.memory.usage", "gauge", "By", "process_memory_usage_bytes"],
  ["process.cpu.time", "counter", "s", "process_cpu_time_seconds_total"],
  ["requests.total.sent", "counter", "{request}", "requests_sent_total"],
  ["queue.size", "gauge", "{item}", "queue_size"],
  ["loop.utilization", "gauge", "1", "loop_utilization_ratio"],
  ["hits.ratio.now", "gauge", "1", "hits_now_ratio"],
  ["hits", "counter", "1", "hits_total"],
  ["seconds.spent", "gauge", "s", "seconds_spent"],
  ["a__b-c", "gauge", "", "a_b_c"],
] as const)("%s, a %s in %s, is %s", (name, kind, unit, expected) => {
  expect(prometheusName(name, { kind, unit })).toBe(expected);
});

describe("the registry's metrics", () => {
  const series = METRIC_NAMES.flatMap((name) => prometheusNames(name, definitionOf(name)));

  test("have each series to themselves, by a valid name", () => {
    expect(new Set(series).size).toBe(series.length);
    for (const name of series) expect(name).toMatch(/^[a-z][a-z0-9_]*$/);
  });

  test("have labels that stay apart", () => {
    for (const name of METRIC_NAMES) {
      const keys = Object.keys(definitionOf(name).attributes);
      expect(new Set(keys.map(prometheusLabel)).size).toBe(keys.length);
    }
  });
});
