import { create, toBinary } from "@bufbuild/protobuf";
import { PipelineSchema } from "@chowhound/shared/contracts/chowhound/v1/pipeline_service";
import { describe, expect, test } from "vitest";
import { definitionOf } from "./pipeline-for-test.ts";
import { nextVersion, pipelineKey, readStoredPipeline } from "./stored-pipeline.ts";

const key = pipelineKey("acme", "forum");

function encode(definition: string): Uint8Array {
  const pipeline = { tenantId: "acme", sourceType: "forum", version: 5n, definition };
  return toBinary(PipelineSchema, create(PipelineSchema, pipeline));
}

test("keys are of what a bucket takes, and different for different pipelines", () => {
  const scopes = ["*", "acme", "ac.me", "a/b c", ">", "", "größe"];
  const keys = scopes.flatMap((tenant) => scopes.map((sourceType) => pipelineKey(tenant, sourceType)));
  expect(new Set(keys).size).toBe(scopes.length ** 2);
  for (const tenant of ["*", "acme"]) expect(pipelineKey(tenant, "*")).toMatch(/^[-\w]+\.[-\w]+$/);
});

test("versions follow the clock, but always grow", () => {
  expect(nextVersion(0n, 1_700_000_000_000)).toBe(1_700_000_000_000n);
  expect(nextVersion(1_700_000_000_000n, 1_700_000_000_000)).toBe(1_700_000_000_001n);
  expect(nextVersion(1_800_000_000_000n, 1_700_000_000_000)).toBe(1_800_000_000_001n);
});

describe("readStoredPipeline", () => {
  test("compiles what is stored, under its stored version", () => {
    const stored = readStoredPipeline(key, 9, encode(definitionOf("- set: { values: { lang: de } }")));
    expect(stored).toMatchObject({
      revision: 9,
      pipeline: { tenantId: "acme", version: 5n },
      compiled: { tenant: "acme", sourceType: "forum", version: 5n, hasSteps: true },
    });
  });

  test.each([
    [definitionOf("- teleport: {}"), "the pipeline acme/forum, version 5: line 4: unknown step 'teleport'"],
    [definitionOf("- a: {}\n- b: {}"), "(and 1 more)"],
    [definitionOf("- set: { values: { lang: de } }", { tenant: "other" }), "stored under another's key"],
  ])("tells why it can't be run %#", (definition, problem) => {
    const stored = readStoredPipeline(key, 1, encode(definition));
    expect(stored.pipeline).toBeDefined();
    expect(stored.compiled).toEqual({ problem: expect.stringContaining(problem) });
  });

  test("tells what is no pipeline at all", () => {
    const stored = readStoredPipeline(key, 1, Buffer.from("junk"));
    expect(stored).toMatchObject({ pipeline: undefined, compiled: { problem: expect.any(String) } });
  });
});
