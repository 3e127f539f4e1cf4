import { expect, test } from "vitest";
import { draftOf, optionProblems, runStep } from "./draft-for-test.ts";
import { setStep } from "./set.ts";

test("writes constants", () => {
  const draft = draftOf({ lang: "en" });
  const values = { lang: "de", "metadata.a.b": [1, null], "attributes.team": "data" };
  expect(runStep(setStep, { values }, draft)).toEqual({ ok: true });
  expect(draft.changes()).toEqual({
    lang: "de",
    metadata: { a: { b: [1, null] } },
    attributes: { team: "data" },
  });
});

test("leaves filled fields alone if asked to", () => {
  const draft = draftOf({ lang: "en", metadata: { n: 0, empty: "" } });
  const values = { lang: "de", "metadata.n": 1, "metadata.empty": "x" };
  runStep(setStep, { values, only_if_empty: true }, draft);
  expect(draft.changes()).toEqual({ metadata: { n: 0, empty: "x" } });
});

test("fails if text is where an object should be", () => {
  const outcome = runStep(setStep, { values: { "metadata.a.b": 1 } }, draftOf({ metadata: { a: "secret" } }));
  expect(outcome).toMatchObject({ ok: false, reason: "set_type_mismatch" });
  expect(JSON.stringify(outcome)).not.toContain("secret");
});

test("refuses bad options, all of them", () => {
  const values = { uuid: "x", nope: 1, "metadata.ok": 1 };
  expect(optionProblems(setStep, { values })).toEqual([
    "values/uuid: 'uuid' is read-only",
    expect.stringContaining("values/nope: unknown field 'nope'"),
  ]);
  expect(optionProblems(setStep, { values: { lang: 1, "attributes.x": true, metadata: {} } })).toEqual([
    "values/lang: 'lang' holds text: quote the value",
    "values/attributes.x: 'attributes.x' holds text: quote the value",
    "values/metadata: 'metadata' can only be set key by key",
  ]);
  expect(optionProblems(setStep, { values: {} })).toEqual(["values: nothing to set"]);
  expect(optionProblems(setStep, { values: { "metadata.x": Number.NaN } })).toHaveLength(1);
});
