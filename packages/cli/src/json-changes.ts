import type { JsonObject, JsonValue } from "@bufbuild/protobuf";

/** One place at which two documents differ; undefined where it isn't there. */
export interface JsonChange {
  /** Such as "metadata.title". */
  path: string;
  before: JsonValue | undefined;
  after: JsonValue | undefined;
}

/** Where two documents differ: as deep as objects go on both sides; lists are compared as a whole. */
export function jsonChanges(
  before: JsonValue | undefined,
  after: JsonValue | undefined,
  path: string,
): JsonChange[] {
  if (isObject(before) && isObject(after)) {
    const names = new Set([...Object.keys(before), ...Object.keys(after)]);
    return [...names].flatMap((name) => jsonChanges(before[name], after[name], `${path}.${name}`));
  }
  return JSON.stringify(before) === JSON.stringify(after) ? [] : [{ path, before, after }];
}

function isObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
