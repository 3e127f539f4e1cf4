import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { compilePipeline } from "./pipeline.ts";
import { parsePipeline } from "./pipeline-parse.ts";
import { createPipelineSet, defaultPipeline, selectPipeline } from "./pipeline-set.ts";
import { isJsonObject, type JsonObject, type JsonValue, RecordDraft } from "./record-draft.ts";
import { draftOf, testIdentity, testSource } from "./steps/draft-for-test.ts";
import type { RunStep } from "./steps/step.ts";

function pipelineOf(steps: string) {
  const parsed = parsePipeline(`tenant: acme\nsource_type: npm-package\nsteps:\n${steps}`);
  if ("problems" in parsed) throw new Error(JSON.stringify(parsed.problems));
  return compilePipeline(parsed.pipeline, 7n);
}

describe("run", () => {
  const pipeline = pipelineOf(`
  - set: { values: { lang: en } }
  - require: { fields: [metadata.name] }
  - map: { metadata.title: 'metadata.name.upperAscii()' }
`);

  test("takes the steps in order", () => {
    expect(pipeline).toMatchObject({ tenant: "acme", sourceType: "npm-package", version: 7n });
    const draft = draftOf({ metadata: { name: "x" } });
    expect(pipeline.run(draft)).toEqual({ ok: true });
    expect(draft.changes()).toEqual({ lang: "en", metadata: { name: "x", title: "X" } });
  });

  test("stops at the first that fails, and says which", () => {
    expect(pipeline.run(draftOf())).toEqual({
      ok: false,
      step: "1:require",
      reason: "required_field_missing",
      detail: "metadata.name is missing",
    });
  });

  test("turns an exception into a failure, without its message", () => {
    const steps: { name: string; run: RunStep }[] = [
      { name: "broken", run: (draft: RecordDraft) => JSON.parse(draft.get("data")) },
    ];
    const broken = compilePipeline({ tenant: "*", sourceType: "*", description: "", steps }, 1n);
    expect(broken.run(draftOf({ data: "secret" }))).toEqual({
      ok: false,
      step: "0:broken",
      reason: "step_error",
      detail: "SyntaxError",
    });
  });
});

test("whatever comes of a run, it changes neither the record's identity nor what the source gave", () => {
  const pipeline = pipelineOf(`
  - set: { values: { metadata.a.b: 1, attributes.x: y }, only_if_empty: true }
  - redact: { fields: [metadata.c], detect: [email, phone], patterns: ["s{1,9}"], drop_raw_payload: true }
  - map: { metadata.a.n: 'size(data)', data: 'data + string(metadata.a.b)' }
  - detect_language: { overwrite: true }
  - require: { fields: [metadata.d] }
  - derive_identity: { from: [metadata.d, source_id] }
`);
  const json = fc.letrec<{ value: JsonValue }>((tie) => ({
    value: fc.oneof(
      { maxDepth: 3 },
      fc.constantFrom(null, true, 1, "text"),
      fc.array(tie("value"), { maxLength: 2 }),
      fc.dictionary(fc.constantFrom("a", "b", "c", "d", "__proto__", "constructor"), tie("value"), {
        maxKeys: 4,
      }),
    ),
  })).value;
  const outcomes = new Set<string>();
  fc.assert(
    fc.property(json.filter(isJsonObject), fc.string(), (metadata: JsonObject, data) => {
      const given = structuredClone(metadata);
      const draft = new RecordDraft({ ...testSource, data: () => data, metadata: () => metadata });
      const outcome = pipeline.run(draft);
      outcomes.add(outcome.ok ? "ok" : outcome.reason);
      for (const field of Object.keys(testIdentity) as (keyof typeof testIdentity)[]) {
        expect(draft[field]).toBe(testIdentity[field]);
      }
      expect(metadata).toEqual(given);
      expect(Object.keys(draft.changes() ?? {})).not.toEqual(
        expect.arrayContaining(Object.keys(testIdentity)),
      );
    }),
    { numRuns: 500 },
  );
  // Both ways of ending were seen, or the test says nothing.
  expect([...outcomes]).toEqual(expect.arrayContaining(["ok", "required_field_missing"]));
});

describe("selectPipeline", () => {
  const named = (tenant: string, sourceType: string, version = 1n) =>
    compilePipeline({ tenant, sourceType, description: "", steps: [] }, version);
  const inOrder = [named("acme", "npm"), named("acme", "*"), named("*", "npm"), named("*", "*")];

  test("takes the most specific", () => {
    for (const missing of [0, 1, 2, 3]) {
      const set = createPipelineSet(inOrder.slice(missing).reverse());
      expect(selectPipeline(set, "acme", "npm")).toBe(inOrder[missing]);
    }
    const set = createPipelineSet(inOrder);
    expect(selectPipeline(set, "acme", "pypi")).toBe(inOrder[1]);
    expect(selectPipeline(set, "other", "npm")).toBe(inOrder[2]);
    expect(selectPipeline(set, "other", "pypi")).toBe(inOrder[3]);
  });

  test("falls back on doing nothing, as version 0", () => {
    const pipeline = selectPipeline(createPipelineSet([named("acme", "npm")]), "other", "npm");
    expect(pipeline).toBe(defaultPipeline);
    expect(pipeline.version).toBe(0n);
    expect(pipeline.run(draftOf())).toEqual({ ok: true });
  });

  test("of several versions takes the greatest, whatever their order", () => {
    const versions = [named("acme", "npm", 9n), named("acme", "npm", 10n), named("acme", "npm", 2n)];
    expect(selectPipeline(createPipelineSet(versions), "acme", "npm").version).toBe(10n);
  });
});
