import { expect, test } from "vitest";
import { problemsOf } from "./known-series-for-test.ts";

const accepted = "chowhound_records_accepted_total";

test.each([
  ["up == 0", []],
  [`sum by (job, chowhound_tenant_id) (rate(${accepted}[5m]))`, []],
  ["rate(chowhound_records_eaten_total[5m])", ["there is no chowhound_records_eaten_total"]],
  [`${accepted}{chowhound_verdict="stored"}`, [`${accepted} has no chowhound_verdict`]],
  [`sum by (le) (${accepted})`, [`${accepted} has no le`]],
  [
    `up * on (job, chowhound_reason) ${accepted}`,
    ["up has no chowhound_reason", `${accepted} has no chowhound_reason`],
  ],
  [
    'chowhound_records_verdicts_total{chowhound_verdict="eaten"}',
    ["chowhound_verdict of chowhound_records_verdicts_total is never eaten"],
  ],
  [
    'chowhound_records_verdicts_total{chowhound_verdict=~"stale|eaten"}',
    ["chowhound_verdict of chowhound_records_verdicts_total is never eaten"],
  ],
])("%s", (promql, problems) => {
  expect(problemsOf(promql)).toEqual(problems);
});

test("labels beside a result must be there", () => {
  expect(problemsOf(accepted, ["chowhound_tenant_id", "tenant"])).toEqual(["nothing has tenant"]);
});

test("what is no PromQL is refused", () => {
  expect(() => problemsOf("sum(rate(up[5m])")).toThrow(SyntaxError);
});
