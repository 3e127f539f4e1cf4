import fc from "fast-check";
import { expect, test } from "vitest";
import { deriveIdentityStep, joinParts } from "./derive-identity.ts";
import { draftOf, optionProblems, runStep } from "./draft-for-test.ts";

const from = ["metadata.name", "metadata.version"];

test("joins the parts", () => {
  const draft = draftOf({ metadata: { name: "@acme/left-pad", version: 3 } });
  expect(runStep(deriveIdentityStep, { from }, draft)).toEqual({ ok: true });
  expect(draft.changes()).toEqual({ dataId: "@acme/left-pad:3" });
});

test("hashes if asked to", () => {
  const draft = draftOf({ metadata: { name: "a", version: "b" } });
  runStep(deriveIdentityStep, { from, hash: true }, draft);
  // printf 'a:b' | sha256sum
  expect(draft.get("dataId")).toBe("6783a31eabf68ccc0660f935c0826282bdd2241f3a80a9f2d10d59aea9ebb5d8");
});

test.each([undefined, null, "", {}, ["x"]])("%j is no part of an identity", (version) => {
  const draft = draftOf({ metadata: { name: "a", ...(version !== undefined && { version }) } });
  expect(runStep(deriveIdentityStep, { from }, draft)).toEqual({
    ok: false,
    reason: "identity_missing",
    detail: "metadata.version is missing or not a plain value",
  });
});

test("different parts never give the same identity", () => {
  const part = fc.string({
    unit: fc.constantFrom(":", "%", "2", "5", "3", "A", "x"),
    minLength: 1,
    maxLength: 5,
  });
  const parts = fc.array(part, { minLength: 1, maxLength: 4 });
  fc.assert(
    fc.property(parts, parts, (a, b) => {
      expect(joinParts(a) === joinParts(b)).toBe(JSON.stringify(a) === JSON.stringify(b));
    }),
    { numRuns: 2000 },
  );
  // Stronger than a search for collisions: the parts can be read back.
  fc.assert(
    fc.property(parts, (list) => {
      expect(joinParts(list).split(":").map(decode)).toEqual(list);
    }),
  );
});

function decode(part: string): string {
  return part.replaceAll("%3A", ":").replaceAll("%25", "%");
}

test("refuses bad options", () => {
  expect(optionProblems(deriveIdentityStep, { from: [], hash: "yes", separator: "/" })).toHaveLength(3);
});
