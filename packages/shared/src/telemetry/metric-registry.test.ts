import { expect, test } from "vitest";
import { TENANT_ID_PATTERN } from "../record/limits.ts";
import { definitionOf, METRIC_NAMES, OTHER_TENANTS } from "./metric-registry.ts";

const all = METRIC_NAMES.map((name) => [name, definitionOf(name)] as const);

test.each(all)(
  "%s follows OpenTelemetry's rules",
  (name, { unit, kind, bounds, attributes, description }) => {
    expect(name).toMatch(/^(chowhound|messaging|db|nodejs|process)(\.[a-z][a-z0-9_]*)+$/);
    expect(unit).toMatch(/^(s|By|1|\{[a-z]+\})$/);
    expect(bounds !== undefined).toBe(kind === "histogram");
    expect(bounds ?? []).toEqual([...(bounds ?? [])].sort((a, b) => a - b));
    expect(Object.keys(attributes).filter((key) => /uuid|source|data_id|receipt|trace/.test(key))).toEqual(
      [],
    );
    expect(description).not.toMatch(/[.|]$/);
  },
);

test("the name for further tenants is none that a tenant can have", () => {
  expect(OTHER_TENANTS).not.toMatch(TENANT_ID_PATTERN);
});
