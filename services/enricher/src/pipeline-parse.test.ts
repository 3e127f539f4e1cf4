import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { maxPipelineBytes, parsePipeline } from "./pipeline-parse.ts";
import { failureReasons } from "./steps/step.ts";

function problemsOf(yamlText: string) {
  const parsed = parsePipeline(yamlText);
  return "problems" in parsed ? parsed.problems : [];
}

const head = "tenant: acme\nsource_type: npm-package\n";

test("reads a pipeline", () => {
  const parsed = parsePipeline(`
tenant: acme
source_type: "*"
description: names packages
steps:
  - require: { fields: [metadata.name] }
  - derive_identity: { from: [metadata.name, metadata.version] }
  - map: { metadata.title: 'metadata.name + "@" + metadata.version' }
  - detect_language: {}
  - set: { values: { attributes.team: data } }
  - redact: { fields: [metadata.email], detect: [email], in: [data] }
`);
  expect(parsed).toMatchObject({
    pipeline: { tenant: "acme", sourceType: "*", description: "names packages" },
  });
  const steps = "pipeline" in parsed ? parsed.pipeline.steps : [];
  expect(steps.map(({ name }) => name)).toEqual([
    "require",
    "derive_identity",
    "map",
    "detect_language",
    "set",
    "redact",
  ]);
});

test("reports all that is wrong, with path and line", () => {
  expect(
    problemsOf(`tenant: acme*
colour: red
steps:
  - require: { fields: [metadata.name, nope] }
  - map:
      metadata.title: 'metadata.name +'
      uuid: '"x"'
  - fly: {}
  - set: { values: { lang: 1 } }
    map: {}
  - detect_language: { min_lenght: 5 }
  - redact
`),
  ).toEqual([
    { path: "tenant", message: expect.stringContaining("no patterns"), line: 1 },
    { path: "source_type", message: expect.stringContaining("expected string"), line: 1 },
    { path: "steps[0].require.fields[1]", message: expect.stringContaining("unknown field 'nope'"), line: 4 },
    {
      path: 'steps[1].map["metadata.title"]',
      message: expect.stringContaining("not a CEL expression"),
      line: 6,
    },
    { path: "steps[1].map.uuid", message: "'uuid' is read-only", line: 7 },
    {
      path: "steps[2]",
      message: expect.stringContaining("unknown step 'fly'; steps are require, "),
      line: 8,
    },
    { path: "steps[3]", message: "a step is one name with its options", line: 9 },
    { path: "steps[4].detect_language", message: expect.stringContaining("min_lenght"), line: 11 },
    { path: "steps[5]", message: expect.stringContaining("expected record"), line: 12 },
    { path: "", message: expect.stringContaining("colour"), line: 2 },
  ]);
});

describe("refuses", () => {
  test.each([
    ["YAML that is none", `${head}steps: [\n`, /./],
    ["a key given twice", `${head}tenant: x\nsteps: []`, /unique/],
    ["several documents", `${head}steps: []\n---\n${head}steps: []`, /multiple documents/],
    ["tags", `${head}steps: !!js/function []`, /tag/i],
    ["aliases", `${head}description: &a x\nsteps: [*a]`, /aliases are not allowed/],
    ["__proto__ as a key", `${head}steps: []\n__proto__: {}`, /'__proto__' is not allowed/],
    [
      "__proto__ as a key inside",
      `${head}steps: [{ set: { values: { __proto__: 1 } } }]`,
      /'__proto__' is not/,
    ],
    ["nesting without end", `${head}steps: ${"[".repeat(30_000)}`, /./],
    ["something other than an object", "- a", /expected object/],
    ["nothing", "", /expected object/],
    ["too many steps", `${head}steps:\n${"  - detect_language: {}\n".repeat(65)}`, /<=64/],
    ["too many bytes", `${head}description: ${"é".repeat(maxPipelineBytes / 2)}`, /65536 bytes/],
  ])("%s", (_, yamlText, message) => {
    const problems = problemsOf(yamlText);
    expect(problems.length).toBeGreaterThan(0);
    expect(problems.length).toBeLessThanOrEqual(64);
    expect(problems.map((problem) => problem.message).join("\n")).toMatch(message);
  });
});

describe("docs/pipelines.md", () => {
  const page = readFileSync(new URL("../../../docs/pipelines.md", import.meta.url), "utf8");
  const [document, ...steps] = Array.from(page.matchAll(/^```yaml\n([^`]*)^```/gm), (match) => match[1]!);

  test("shows pipelines that work", () => {
    expect(problemsOf(document!)).toEqual([]);
    expect(steps.length).toBeGreaterThanOrEqual(6);
    for (const step of steps) expect(problemsOf(`${head}steps:\n${step}`)).toEqual([]);
  });

  test("explains every failure reason", () => {
    for (const reason of failureReasons) expect(page).toContain(`\n### ${reason}\n`);
  });
});
