import { z } from "zod";

/** A field of the record that holds one string. */
export type TextField = "data" | "dataId" | "metadataType" | "lang";

/** A place a step may write to. No `keys` (or no `name`) means all of `metadata` (or `attributes`). */
export type WritablePath =
  | { readonly kind: "text"; readonly text: string; readonly field: TextField }
  | { readonly kind: "metadata"; readonly text: string; readonly keys: readonly string[] }
  | { readonly kind: "attributes"; readonly text: string; readonly name: string | undefined };

/** A place a step may only read: what identifies the record is not a pipeline's business to change. */
export type ReadOnlyPath = {
  readonly kind: "fixed";
  readonly text: string;
  readonly field: "tenantId" | "uuid" | "sourceType" | "sourceId" | "createdAt" | "updatedAt";
};

/** A parsed field path; `text` is how its author wrote it. */
export type FieldPath = WritablePath | ReadOnlyPath;

/** The text is not a path to a field. The message is meant for the author of the pipeline. */
export class FieldPathError extends Error {
  override readonly name = "FieldPathError";
}

const textFields: ReadonlyMap<string, TextField> = new Map([
  ["data", "data"],
  ["data_id", "dataId"],
  ["metadata_type", "metadataType"],
  ["lang", "lang"],
]);
const fixedFields: ReadonlyMap<string, ReadOnlyPath["field"]> = new Map([
  ["tenant_id", "tenantId"],
  ["uuid", "uuid"],
  ["source_type", "sourceType"],
  ["source_id", "sourceId"],
  ["created_at", "createdAt"],
  ["updated_at", "updatedAt"],
]);
const fieldNames = [...textFields.keys(), "metadata.…", "attributes.…", ...fixedFields.keys()].join(", ");

const maxPathLength = 256;
const maxSegments = 16;
const segmentPattern = /"(?:[^"\\]|\\.)*"|[^."]+/y;
const forbiddenSegments = new Set(["__proto__", "constructor", "prototype"]);

/** Parses `data`, `metadata.a.b`, `metadata."a.b"`, `attributes.x` …; throws FieldPathError. */
export function parseFieldPath(text: string): FieldPath {
  const [root = "", ...rest] = splitSegments(text);
  if (root === "metadata") return { kind: "metadata", text, keys: rest };
  if (root === "attributes") {
    if (rest.length > 1) {
      throw new FieldPathError(`'${text}': attributes are flat; quote a name with dots: attributes."a.b"`);
    }
    return { kind: "attributes", text, name: rest[0] };
  }
  const textField = textFields.get(root);
  const fixedField = fixedFields.get(root);
  if (textField === undefined && fixedField === undefined) {
    throw new FieldPathError(`unknown field '${text}'; fields are ${fieldNames}`);
  }
  if (rest.length > 0) throw new FieldPathError(`'${text}': ${root} has no fields inside`);
  if (textField !== undefined) return { kind: "text", text, field: textField };
  return { kind: "fixed", text, field: fixedField! };
}

function splitSegments(text: string): string[] {
  if (text.length > maxPathLength) {
    throw new FieldPathError(`a field path is at most ${maxPathLength} characters long`);
  }
  const segments: string[] = [];
  let position = 0;
  do {
    segmentPattern.lastIndex = position;
    const raw = segmentPattern.exec(text)?.[0];
    if (raw === undefined) {
      throw new FieldPathError(`'${text}' is not a field path: name expected at character ${position + 1}`);
    }
    segments.push(raw.startsWith('"') ? unquote(raw, text) : raw);
    position += raw.length;
    if (position < text.length && text[position] !== ".") {
      throw new FieldPathError(`'${text}' is not a field path: dot expected at character ${position + 1}`);
    }
    position += 1;
  } while (position <= text.length);

  if (segments.length > maxSegments) {
    throw new FieldPathError(`a field path has at most ${maxSegments} segments`);
  }
  const forbidden = segments.find((segment) => forbiddenSegments.has(segment));
  if (forbidden !== undefined) throw new FieldPathError(`'${text}': '${forbidden}' is not allowed in a path`);
  return segments;
}

function unquote(raw: string, text: string): string {
  try {
    return JSON.parse(raw) as string;
  } catch (cause) {
    throw new FieldPathError(`'${text}': ${raw} is not a well-formed quoted name`, { cause });
  }
}

/** A path a step reads. */
export const readableField = z.string().transform((text, context): FieldPath => {
  try {
    return parseFieldPath(text);
  } catch (error) {
    if (!(error instanceof FieldPathError)) throw error;
    context.addIssue(error.message);
    return z.NEVER;
  }
});

/** A path a step writes; a read-only one is a problem of the pipeline, not of the record. */
export const writableField = readableField.transform((path, context): WritablePath => {
  if (path.kind !== "fixed") return path;
  context.addIssue(`'${path.text}' is read-only`);
  return z.NEVER;
});

/** An object whose keys are writable paths, as entries in the author's order. Reports every bad key and value. */
export function writableEntries<Value>(valueSchema: z.ZodType<Value>) {
  return z.record(z.string(), z.unknown()).transform((object, context) => {
    const entries: [WritablePath, Value][] = [];
    for (const [text, input] of Object.entries(object)) {
      const path = writableField.safeParse(text);
      const value = valueSchema.safeParse(input);
      for (const issue of [...(path.error?.issues ?? []), ...(value.error?.issues ?? [])]) {
        context.issues.push({ code: "custom", message: issue.message, path: [text, ...issue.path], input });
      }
      if (path.success && value.success) entries.push([path.data, value.data]);
    }
    return entries;
  });
}
