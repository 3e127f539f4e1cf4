import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { draftOf, optionProblems, runStep } from "./draft-for-test.ts";
import { redactStep } from "./redact.ts";
import { maxPatternMatches } from "./redact-pattern.ts";

describe("fields", () => {
  const content = {
    data: "d",
    metadata: { email: "a@b.example", id: 7, keep: 1 },
    attributes: { ip: "10.0.0.1" },
  };

  test("are removed", () => {
    const draft = draftOf(content);
    runStep(redactStep, { fields: ["data", "metadata.email", "metadata.absent", "attributes.ip"] }, draft);
    expect(draft.changes()).toEqual({ data: "", metadata: { id: 7, keep: 1 }, attributes: {} });
  });

  test("are masked, whatever they hold", () => {
    const draft = draftOf(content);
    const options = { action: "mask", replacement: "***" };
    runStep(
      redactStep,
      { ...options, fields: ["metadata.email", "metadata.id", "metadata.absent", "lang"] },
      draft,
    );
    expect(draft.changes()).toEqual({ metadata: { email: "***", id: "***", keep: 1 } });
    // These can't hold text.
    runStep(redactStep, { ...options, fields: ["metadata", "attributes"] }, draft);
    expect(draft.changes()).toEqual({ metadata: {}, attributes: {} });
  });
});

describe("text", () => {
  test("is searched in data, metadata to any depth, and attributes", () => {
    const draft = draftOf({
      data: "ask ann@x.example now",
      metadata: { deep: [{ mail: "<bob@x.example>" }], n: 1 },
      attributes: { owner: "cleo@x.example" },
      dataId: "dan@x.example",
    });
    runStep(redactStep, { detect: ["email"] }, draft);
    expect(draft.changes()).toEqual({
      data: "ask [redacted] now",
      metadata: { deep: [{ mail: "<[redacted]>" }], n: 1 },
      attributes: { owner: "[redacted]" },
    });
  });

  test("is searched only where asked", () => {
    const draft = draftOf({ data: "10.0.0.1", metadata: { a: "10.0.0.1", b: "10.0.0.2" } });
    runStep(redactStep, { detect: ["ipv4"], in: ["metadata.a", "metadata.absent"] }, draft);
    expect(draft.changes()).toEqual({ metadata: { a: "[redacted]", b: "10.0.0.2" } });
  });

  test("is searched by patterns; overlapping finds become one", () => {
    const draft = draftOf({ data: "key-123 4111 1111 1111 1111@bar.example 😀x" });
    runStep(
      redactStep,
      { detect: ["credit_card", "email"], patterns: ["key-\\d{1,9}", "x{0,2}", "."], in: ["metadata"] },
      draft,
    );
    expect(draft.changes()).toBeUndefined();
    runStep(redactStep, { detect: ["credit_card", "email"], patterns: ["key-\\d{1,9}", "x{0,2}"] }, draft);
    expect(draft.get("data")).toBe("[redacted] [redacted] 😀[redacted]");
  });

  test("is refused if a pattern matches too often", () => {
    const options = { patterns: ["a.{0,500}b|a"] };
    const data = "a".repeat(maxPatternMatches);
    expect(runStep(redactStep, options, draftOf({ data }))).toEqual({ ok: true });
    const outcome = runStep(redactStep, options, draftOf({ data: `${data}a` }));
    expect(outcome).toMatchObject({ ok: false, reason: "redact_too_many_matches" });
  });

  test("is searched in linear time", () => {
    const data = "a".repeat(maxPatternMatches) + "c".repeat(200_000);
    const startedAtMs = performance.now();
    runStep(redactStep, { patterns: ["a.{0,500}b|a"], in: ["data"] }, draftOf({ data }));
    expect(performance.now() - startedAtMs).toBeLessThan(3000);
  });

  test("never keeps an e-mail address", () => {
    const surrounding = fc.oneof(fc.string(), fc.string({ unit: "binary" }), fc.emailAddress());
    fc.assert(
      fc.property(fc.emailAddress(), surrounding, surrounding, (address, before, after) => {
        const draft = draftOf({
          data: before + address + after,
          metadata: { list: [`${before} ${address}`] },
        });
        runStep(redactStep, { detect: ["email", "phone", "iban", "credit_card", "ipv4"] }, draft);
        expect(JSON.stringify([draft.get("data"), draft.get("metadata")])).not.toContain(
          JSON.stringify(address).slice(1, -1),
        );
      }),
      { numRuns: 1000 },
    );
  });
});

test("the raw payload can go", () => {
  const draft = draftOf();
  expect(runStep(redactStep, { drop_raw_payload: true }, draft)).toEqual({ ok: true });
  expect(draft.changes()).toEqual({ dropRawPayload: true });
});

test("refuses bad options", () => {
  const bad = {
    fields: ["uuid"],
    detect: ["mail"],
    patterns: ["(", "(?=x)", "(a)\\1"],
    replacement: "",
    in: ["nope"],
  };
  expect(optionProblems(redactStep, bad)).toHaveLength(7);
  expect(optionProblems(redactStep, {})).toEqual([expect.stringContaining("nothing to redact")]);
});

test.each([
  ["a*", false],
  ["a+?", false],
  ["a{2,}", false],
  ["[[:alpha:]]+", false],
  ["[]a]*", false],
  ["\\\\+", false],
  ["(a{1,3})+", false],
  ["a{2,3}b?\\+\\*", true],
  ["\\Q[\\E a* ]", false],
  ["\\Q+*\\E?", true],
  ["[*+][^*]", true],
  ["[[:alpha:]+*]{1,3}\\]", true],
])("pattern %s has a bounded length: %s", (pattern, bounded) => {
  const expected = bounded ? [] : ["patterns/0: say how long a match can get: {0,40} for *, {1,40} for +"];
  expect(optionProblems(redactStep, { patterns: [pattern] })).toEqual(expected);
});
