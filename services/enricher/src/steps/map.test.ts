import { describe, expect, test } from "vitest";
import { draftOf, optionProblems, runStep } from "./draft-for-test.ts";
import { mapStep } from "./map.ts";

function evaluate(expression: string, content: Parameters<typeof draftOf>[0] = {}) {
  const draft = draftOf(content);
  const outcome = runStep(mapStep, { "metadata.result": expression }, draft);
  return outcome.ok ? draft.changes()?.metadata?.result : outcome;
}
const metadata = { name: "left-pad", n: 2, list: ["a", "b"], nested: { k: null }, constructor: "odd" };

describe("results", () => {
  test.each([
    ['metadata.name + "@" + data', "left-pad@1.3.0"],
    ["metadata.n * 2.0", 4],
    ["1 + 2", 3],
    ["9007199254740991", 9007199254740991],
    ["9007199254740992", "9007199254740992"],
    ["7u", 7],
    ["size(data) > 3", true],
    ["metadata.nested", { k: null }],
    ["metadata.constructor", "odd"],
    ["metadata.list.map(x, x.upperAscii())", ["A", "B"]],
    ['{"a": [1, 2.5, null], "b": {1: true}}', { a: [1, 2.5, null], b: { "1": true } }],
    ["has(metadata.absent) ? 1 : 2", 2],
    ['data.matches("^[0-9.]+$")', true],
    ['data.replace(".", "-")', "1-3-0"],
    ['data.replace(".", "-", 1)', "1-3.0"],
    [
      'tenant_id + source_type + source_id + created_at.substring(0, 4) + "|" + updated_at',
      "acmenpm-packageregistry2023|",
    ],
    ["string(timestamp(created_at).getFullYear())", "2023"],
    ['attributes["k"] + lang + data_id + metadata_type', "venidt"],
  ])("%s", (expression, expected) => {
    const content = {
      data: "1.3.0",
      metadata,
      attributes: { k: "v" },
      lang: "en",
      dataId: "id",
      metadataType: "t",
    };
    expect(evaluate(expression, content)).toEqual(expected);
  });

  test("keep half characters out", () => {
    expect(evaluate("data.substring(0, 1)", { data: "😀" })).toBe("\ufffd");
  });

  test("can't smuggle a prototype in", () => {
    const result = evaluate("metadata.copy", {
      metadata: { copy: JSON.parse('{"__proto__": {"admin": true}}') },
    });
    expect(Object.getPrototypeOf(result)).toBe(Object.prototype);
    expect(Object.keys(result as object)).toEqual(["__proto__"]);
  });

  test("later expressions see what earlier ones wrote", () => {
    const draft = draftOf({ data: "a" });
    runStep(mapStep, { data: 'data + "b"', lang: 'data + "c"' }, draft);
    expect(draft.changes()).toEqual({ data: "ab", lang: "abc" });
  });
});

describe("failures", () => {
  test.each([
    ["lang", "1", "lang can't hold a number"],
    ["data", "null", "data can't hold null"],
    ["attributes.x", "[1]", "attributes.x can't hold a list"],
    ["attributes", '{"a": 1}', "attributes can't hold a map"],
    ["metadata", "data", "metadata can't hold a string"],
  ])("%s: %s is a type mismatch", (field, expression, detail) => {
    const outcome = runStep(mapStep, { [field]: expression }, draftOf());
    expect(outcome).toEqual({ ok: false, reason: "map_type_mismatch", detail });
  });

  test.each([
    ["metadata.absent", "field not found: absent"],
    ["metadata.n + 1", "found no matching overload for '_+_' applied to '(double, int)'"],
    ["1 / 0", "int divide by zero"],
    ["data.substring(99)", "index out of bounds"],
    ["int(data)", "Cannot convert"],
    ["timestamp(data)", "Failed to parse timestamp"],
    ["metadata[data]", "field not found"],
    ["bool(data)", "Unable to convert string"],
    ["duration(data)", "Failed to parse duration"],
    ['{data: 1, data + "": 2}', "map key conflict"],
    ["0.0 / 0.0", "the result is not a finite number"],
    ["b'abc'", "the result is not a JSON value; use string(…)"],
    ["timestamp(created_at)", "the result is not a JSON value; use string(…)"],
  ])("%s fails, and doesn't quote the record", (expression, error) => {
    const outcome = evaluate(expression, { data: "secret", metadata });
    expect(outcome).toEqual({ ok: false, reason: "map_failed", detail: `metadata.result: ${error}` });
  });
});

describe("bounds", () => {
  test("replace takes linear time", () => {
    const startedAtMs = performance.now();
    expect(evaluate('data.replace(",", ";").size()', { data: ",".repeat(500_000) })).toBe(500_000);
    expect(performance.now() - startedAtMs).toBeLessThan(2000);
  });

  test.each([
    ['data.replace("a", data)', "the result is too large"],
    ["data + data", "the result is too large"],
    ["[data, data]", "the result is too large"],
    ['data.split("").map(x, x)', "list longer than 1000"],
    ['data.split("")', "the result is too large"],
    ['data.replace("", "x")', "replace needs text to search for"],
  ])("%s", (expression, error) => {
    const outcome = evaluate(expression, { data: "a".repeat(600_000) });
    expect(outcome).toMatchObject({ reason: "map_failed", detail: `metadata.result: ${error}` });
  });
});

describe("options", () => {
  test.each([
    ["1 +", /not a CEL expression: .*expecting/],
    ["(".repeat(4000), /nested too deeply|not a CEL expression/],
    ["nope + 1", /unknown variable 'nope'; variables are data, /],
    ["metadata.list.map(x, y)", /unknown variable 'y'/],
    ["nope(1)", /unknown function 'nope'/],
    ["data.size(1, 2)", /'size' can't be called that way with 2 argument/],
    ["data.matches('(')", /matches: .*missing closing/],
    ["data.matches(lang)", /matches needs a literal pattern/],
    ["google.protobuf.Struct{}", /messages can't be built here/],
    ["metadata.list.map(x, metadata.list.map(y, y))", /can't be nested/],
    ["1".repeat(4097), /at most 4096 characters/],
  ])("%s", (expression, message) => {
    const [problem] = optionProblems(mapStep, { lang: expression });
    expect(problem).toMatch(message);
    expect(problem).toMatch(/^lang: /);
  });

  test("all problems are reported", () => {
    expect(optionProblems(mapStep, { uuid: "1 +", lang: "nope", data: "data" })).toHaveLength(3);
    expect(optionProblems(mapStep, {})).toEqual([": nothing to map"]);
  });
});
