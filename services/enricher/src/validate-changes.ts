import { LANG_PATTERN, LIMITS } from "@chowhound/shared/record/limits";
import type { JsonValue, RecordChanges } from "./record-draft.ts";

/**
 * Holds what a pipeline has written to the rules that the gateway has for what a source sends.
 *
 * @returns the field and the rule it breaks, for a person; undefined where all is well
 */
export function findInvalidChange(changes: RecordChanges): string | undefined {
  const { dataId, data, metadata, metadataType, lang, attributes } = changes;
  return (
    (dataId === undefined ? undefined : checkName("data_id", dataId, LIMITS.dataIdBytes)) ??
    (data === undefined
      ? undefined
      : (checkSize("data", data, LIMITS.recordBytes) ?? checkText("data", data))) ??
    (metadataType === undefined
      ? undefined
      : checkName("metadata_type", metadataType, LIMITS.metadataTypeBytes)) ??
    (lang === undefined ? undefined : checkLang(lang)) ??
    (attributes === undefined ? undefined : checkAttributes(attributes)) ??
    (metadata === undefined ? undefined : checkMetadata(metadata))
  );
}

function checkName(field: string, text: string, maxBytes: number): string | undefined {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  if (/[\u0001-\u001f\u007f]/.test(text)) return `${field} holds a control character`;
  return checkSize(field, text, maxBytes) ?? checkText(field, text);
}

/** PostgreSQL's text holds neither U+0000 nor half a character. */
function checkText(field: string, text: string): string | undefined {
  if (text.includes("\0")) return `${field} holds the character U+0000`;
  return text.isWellFormed() ? undefined : `${field} holds half of a character (a lone surrogate)`;
}

function checkSize(field: string, text: string, maxBytes: number): string | undefined {
  const bytes = Buffer.byteLength(text);
  return bytes > maxBytes ? `${field} has ${bytes} bytes, more than ${maxBytes}` : undefined;
}

function checkLang(lang: string): string | undefined {
  if (lang === "") return undefined;
  const isTag = LANG_PATTERN.test(lang);
  return checkSize("lang", lang, LIMITS.langBytes) ?? (isTag ? undefined : "lang is not a BCP 47 tag");
}

function checkAttributes(attributes: Readonly<Record<string, string>>): string | undefined {
  const entries = Object.entries(attributes);
  if (entries.length > LIMITS.attributeCount) {
    return `attributes has ${entries.length} entries, more than ${LIMITS.attributeCount}`;
  }
  for (const [key, value] of entries) {
    const problem =
      checkSize("attributes (a key)", key, LIMITS.attributeKeyBytes) ??
      checkText("attributes (a key)", key) ??
      checkSize("attributes (a value)", value, LIMITS.attributeValueBytes) ??
      checkText("attributes (a value)", value);
    if (problem !== undefined) return problem;
  }
  return undefined;
}

function checkMetadata(metadata: JsonValue): string | undefined {
  // The depth first: JSON.stringify needs a stack as deep as the value.
  return (
    checkJson(metadata, LIMITS.metadataDepth) ??
    checkSize("metadata as JSON", JSON.stringify(metadata), LIMITS.metadataBytes)
  );
}

function checkJson(value: JsonValue, depthLeft: number): string | undefined {
  if (typeof value === "string") return checkText("metadata", value);
  if (typeof value === "number" && !Number.isFinite(value))
    return "metadata holds a number that is not finite";
  if (typeof value !== "object" || value === null) return undefined;
  if (depthLeft === 0) return `metadata is nested more than ${LIMITS.metadataDepth} levels deep`;
  for (const [key, entry] of Object.entries(value)) {
    const problem = checkText("metadata (a key)", key) ?? checkJson(entry, depthLeft - 1);
    if (problem !== undefined) return problem;
  }
  return undefined;
}
