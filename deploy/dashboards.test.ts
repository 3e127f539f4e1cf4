import { expect, test } from "vitest";
import { type Dashboard, fillIn, queriesOf, readDashboards } from "./dashboards-for-test.ts";
import { problemsOf } from "./known-series-for-test.ts";

const dashboards = readDashboards();
const named = dashboards.map((dashboard) => [dashboard.title, dashboard] as const);

/** A dashboard's own variables stand for themselves: `$tenant` is any tenant. */
function variablesOf({ templating }: Dashboard): Record<string, string> {
  const own = templating.list.map(({ name }) => [name, `any-${name}`] as const);
  return { __rate_interval: "1m", __range: "1h", ...Object.fromEntries(own) };
}

test("there are dashboards, each with a uid and a title of its own", () => {
  expect(dashboards.map(({ uid }) => uid).sort()).toEqual([
    "chowhound-dead-letters",
    "chowhound-mesh",
    "chowhound-tenant",
  ]);
  expect(new Set(dashboards.map(({ title }) => title)).size).toBe(dashboards.length);
});

test.each(named)("%s: its queries ask for series that there are", (_, dashboard) => {
  const variables = variablesOf(dashboard);
  const problems = queriesOf(dashboard).flatMap(({ panel, target }) => {
    const shown = [...target.legendFormat.matchAll(/\{\{(\w+)\}\}/g)].map(([, label]) => label!);
    return problemsOf(fillIn(target.expr, variables), shown).map((problem) => `${panel.title}: ${problem}`);
  });
  expect(problems).toEqual([]);
  expect(queriesOf(dashboard).length).toBeGreaterThan(0);
});

test.each(named)("%s: its variables are values of labels that there are", (_, { templating }) => {
  for (const { definition } of templating.list) {
    const [, metric, label] = /^label_values\((\w+), (\w+)\)$/.exec(definition) ?? [];
    expect(problemsOf(metric!, [label!])).toEqual([]);
  }
});

test.each(named)(
  "%s: every panel has a title, a description, a unit and a question above it",
  (_, { panels }) => {
    expect(panels[0]?.type).toBe("row");
    expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
    for (const { type, title, description, fieldConfig } of panels) {
      expect(title).not.toBe("");
      if (type === "row") expect(title).toMatch(/\?$/);
      else {
        expect(description, title).toMatch(/\S/);
        expect(fieldConfig?.defaults.unit, title).toMatch(/\S/);
      }
    }
  },
);
