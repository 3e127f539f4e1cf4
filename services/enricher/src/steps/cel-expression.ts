import { type CelInput, CelScalar, celEnv, isCelError, mapType, parse, plan } from "@bufbuild/cel";
import type { JsonValue, RecordDraft } from "../record-draft.ts";
import { CelExpressionError, checkExpression } from "./cel-check.ts";
import { celFunctions, compilePattern } from "./cel-functions.ts";
import { CelResultError, fromCel, toCel } from "./cel-json.ts";

/** What an expression gave, or why it gave nothing. `error` never holds the record's contents. */
export type CelOutcome =
  | { readonly ok: true; readonly value: JsonValue }
  | { readonly ok: false; readonly error: string };
export type CelExpression = (draft: RecordDraft) => CelOutcome;

const maxExpressionLength = 4096;

const { STRING, DYN } = CelScalar;
const env = celEnv({
  funcs: celFunctions,
  re2: { compile: compilePattern },
  variables: {
    data: STRING,
    data_id: STRING,
    metadata: mapType(STRING, DYN),
    metadata_type: STRING,
    lang: STRING,
    attributes: mapType(STRING, STRING),
    source_type: STRING,
    source_id: STRING,
    tenant_id: STRING,
    created_at: STRING,
    updated_at: STRING,
  },
});

/** Parses and checks a CEL expression over one record; throws CelExpressionError. */
export function compileExpression(text: string): CelExpression {
  if (text.length > maxExpressionLength) {
    throw new CelExpressionError(`an expression is at most ${maxExpressionLength} characters long`);
  }
  const parsed = parseExpression(text);
  checkExpression(env, parsed.expr);
  const evaluate = plan(env, parsed);
  return (draft) => {
    const result = evaluate(new DraftVariables(draft));
    if (isCelError(result)) return { ok: false, error: withoutContents(result.message, text) };
    try {
      return { ok: true, value: fromCel(result) };
    } catch (error) {
      if (error instanceof CelResultError) return { ok: false, error: error.message };
      throw error;
    }
  };
}

function parseExpression(text: string) {
  try {
    return parse(text);
  } catch (cause) {
    const why = cause instanceof RangeError ? "nested too deeply" : (cause as Error).message;
    throw new CelExpressionError(`not a CEL expression: ${why}`, { cause });
  }
}

/** The record's fields under their names in CEL, each decoded only if the expression asks for it. */
class DraftVariables {
  readonly #draft: RecordDraft;
  // A comprehension may ask for it once per element.
  #metadata: ReadonlyMap<string, CelInput> | undefined;

  constructor(draft: RecordDraft) {
    this.#draft = draft;
  }
  get data(): string {
    return this.#draft.get("data");
  }
  get data_id(): string {
    return this.#draft.get("dataId");
  }
  get metadata(): ReadonlyMap<string, CelInput> {
    this.#metadata ??= toCel(this.#draft.get("metadata")) as ReadonlyMap<string, CelInput>;
    return this.#metadata;
  }
  get metadata_type(): string {
    return this.#draft.get("metadataType");
  }
  get lang(): string {
    return this.#draft.get("lang");
  }
  get attributes(): ReadonlyMap<string, string> {
    return new Map(Object.entries(this.#draft.get("attributes")));
  }
  get source_type(): string {
    return this.#draft.sourceType;
  }
  get source_id(): string {
    return this.#draft.sourceId;
  }
  get tenant_id(): string {
    return this.#draft.tenantId;
  }
  get created_at(): string {
    return this.#draft.createdAt ?? "";
  }
  get updated_at(): string {
    return this.#draft.updatedAt ?? "";
  }
}

// Messages of the library known to be free of values, or the part of them that is.
const safeMessages = [
  /^(?:found )?no matching overload for '[^']*' applied to '[^']*'/,
  /^type mismatch: .*/,
  /^u?int (?:overflow during \S+|divide by zero|modulus by zero)/,
  /^invalid argument to function [a-z]+/,
  /^index(?= -?\d+ out of bounds)/,
  /^Cannot convert/,
  /^Unable to convert string/,
  /^Failed to (?:parse timestamp|parse duration|decode bytes)/,
  /^(?:timestamp|duration) out of range/,
  /^error parsing regexp/,
  /^(?:map key conflict|unsupported key type)/,
  /^list longer than \d+/,
  /^the result is too large/,
  /^replace needs text to search for/,
];

function withoutContents(message: string, expression: string): string {
  // A key that stands in the expression is its author's; one that was computed is the record's.
  const missingField = /^field not found: (\w+)$/.exec(message)?.[1];
  if (missingField !== undefined && new RegExp(`\\b${missingField}\\b`).test(expression)) return message;
  for (const pattern of safeMessages) {
    const safePart = pattern.exec(message)?.[0];
    if (safePart !== undefined) return safePart === "index" ? "index out of bounds" : safePart;
  }
  return message.startsWith("field not found") ? "field not found" : "evaluation failed";
}
