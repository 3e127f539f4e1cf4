import { expect, test } from "vitest";
import { draftOf, optionProblems, runStep } from "./draft-for-test.ts";
import { requireStep } from "./require.ts";

test("lets a record with all fields pass; 0 and false are values", () => {
  const draft = draftOf({ data: "x", metadata: { zero: 0, no: false } });
  const options = { fields: ["data", "metadata.zero", "metadata.no", "created_at"] };
  expect(runStep(requireStep, options, draft)).toEqual({ ok: true });
});

test.each(["data", "metadata.absent", "metadata.nothing", "metadata.list", "metadata.map", "updated_at"])(
  "%s is missing",
  (field) => {
    const draft = draftOf({ metadata: { nothing: null, list: [], map: {} } });
    expect(runStep(requireStep, { fields: ["source_id", field] }, draft)).toEqual({
      ok: false,
      reason: "required_field_missing",
      detail: `${field} is missing`,
    });
  },
);

test("refuses bad options", () => {
  expect(optionProblems(requireStep, { fields: ["nope", "metadata.__proto__"], extra: 1 })).toHaveLength(3);
  expect(optionProblems(requireStep, { fields: [] })).toHaveLength(1);
});
