import { describe, expect, test } from "vitest";
import { FieldPathError, parseFieldPath, writableField } from "./field-path.ts";

describe("parseFieldPath", () => {
  test.each([
    ["data", { kind: "text", field: "data" }],
    ["data_id", { kind: "text", field: "dataId" }],
    ["metadata_type", { kind: "text", field: "metadataType" }],
    ["lang", { kind: "text", field: "lang" }],
    ["metadata", { kind: "metadata", keys: [] }],
    ["metadata.a.b", { kind: "metadata", keys: ["a", "b"] }],
    ['metadata."a.b".c', { kind: "metadata", keys: ["a.b", "c"] }],
    [String.raw`metadata."say \"hi\""`, { kind: "metadata", keys: ['say "hi"'] }],
    ['metadata.""', { kind: "metadata", keys: [""] }],
    ["attributes", { kind: "attributes", name: undefined }],
    ['attributes."x.y"', { kind: "attributes", name: "x.y" }],
    ["tenant_id", { kind: "fixed", field: "tenantId" }],
    ["updated_at", { kind: "fixed", field: "updatedAt" }],
  ])("%s", (text, path) => {
    expect(parseFieldPath(text)).toEqual({ ...path, text });
  });

  test.each([
    ["", /name expected at character 1/],
    ["metadata.", /name expected at character 10/],
    ["metadata..a", /name expected at character 10/],
    ["metadata.a.", /name expected at character 12/],
    ['metadata."a', /name expected at character 10/],
    ['metadata."a"b', /dot expected at character 13/],
    ['metadata.a"b"', /dot expected at character 11/],
    [String.raw`metadata."\q"`, /well-formed quoted name/],
    ["titel", /unknown field 'titel'; fields are data, /],
    ["data.x", /data has no fields inside/],
    ["attributes.a.b", /attributes are flat/],
    ["metadata.__proto__.x", /'__proto__' is not allowed/],
    ['metadata."__proto__"', /'__proto__' is not allowed/],
    ["metadata.a.constructor", /'constructor' is not allowed/],
    ["attributes.prototype", /'prototype' is not allowed/],
    [`metadata.${"a".repeat(256)}`, /at most 256 characters/],
    [`metadata${".a".repeat(16)}`, /at most 16 segments/],
  ])("refuses %s", (text, message) => {
    expect(() => parseFieldPath(text)).toThrow(FieldPathError);
    expect(() => parseFieldPath(text)).toThrow(message);
  });
});

test.each(["tenant_id", "uuid", "source_type", "source_id", "created_at", "updated_at"])(
  "%s can't be written to",
  (text) => {
    expect(writableField.safeParse(text).error?.issues[0]?.message).toBe(`'${text}' is read-only`);
  },
);
