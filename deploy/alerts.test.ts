import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { parse } from "yaml";
import { problemsOf } from "./known-series-for-test.ts";

interface Rule {
  alert: string;
  expr: string;
  labels: Record<string, string>;
  annotations: Record<string, string>;
}

interface AlertTest {
  alert_rule_test: { alertname: string; exp_alerts: unknown[] }[];
}

const folder = join(import.meta.dirname, "prometheus");
const read = (file: string): unknown => parse(readFileSync(join(folder, file), "utf8"));
const { groups } = read("alerts.yml") as { groups: { rules: Rule[] }[] };
const rules = groups.flatMap((group) => group.rules);
const named = rules.map((rule) => [rule.alert, rule] as const);

test("there are alerts, each with a name of its own", () => {
  expect(rules.length).toBeGreaterThan(10);
  expect(new Set(rules.map(({ alert }) => alert)).size).toBe(rules.length);
});

test.each(named)("%s asks for series that there are", (_, { expr, annotations }) => {
  const texts = Object.values(annotations).join(" ");
  const shown = [...texts.matchAll(/\$labels\.(\w+)/g)].map(([, label]) => label!);
  expect(problemsOf(expr, shown)).toEqual([]);
});

test.each(named)("%s says how bad it is, what it means and what to do", (_, { labels, annotations }) => {
  expect(["critical", "warning"]).toContain(labels.severity);
  for (const name of ["summary", "description", "action"]) expect(annotations[name], name).toMatch(/\S/);
});

test("of each alert a test for promtool shows that it fires, and that it doesn't when nothing is wrong", () => {
  const { tests } = read("alerts.test.yml") as { tests: AlertTest[] };
  const shown = (fires: boolean) =>
    new Set(
      tests
        .flatMap((each) => each.alert_rule_test)
        .filter(({ exp_alerts }) => exp_alerts.length > 0 === fires)
        .map(({ alertname }) => alertname),
    );
  const names = rules.map(({ alert }) => alert).sort();
  expect([...shown(true)].sort()).toEqual(names);
  expect([...shown(false)].sort()).toEqual(names);
});

const hasPromtool = spawnSync("promtool", ["--version"]).status === 0;
test.skipIf(!hasPromtool)(
  "promtool runs these tests; `npm run e2e:compose` does where it isn't installed",
  () => {
    const { status, stdout, stderr } = spawnSync("promtool", ["test", "rules", "alerts.test.yml"], {
      cwd: folder,
      encoding: "utf8",
    });
    expect([status, `${stdout}${stderr}`]).toEqual([0, expect.stringContaining("SUCCESS")]);
  },
);
