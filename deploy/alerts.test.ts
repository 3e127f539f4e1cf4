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

const file = join(import.meta.dirname, "prometheus/alerts.yml");
const { groups } = parse(readFileSync(file, "utf8")) as { groups: { rules: Rule[] }[] };
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
