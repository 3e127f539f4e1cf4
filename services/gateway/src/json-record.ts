import { fromJson, type JsonObject, type JsonValue, toBinary } from "@bufbuild/protobuf";
import { IngestionDataSchema } from "@chowhound/shared/contracts/chowhound/v1/ingestion_data";
import { encodeOpenFields } from "@chowhound/shared/record/json-fields";
import { LIMITS } from "@chowhound/shared/record/limits";
import { hasRealDay } from "@chowhound/shared/record/real-day";
import { StructError } from "@chowhound/shared/record/struct-json";
import { type RejectedRecord, reject, rejectMetadata } from "@chowhound/shared/record/validate-record";

/** In either spelling, as JSON of protobuf may have it. */
const KEYS = new Set(IngestionDataSchema.fields.flatMap(({ jsonName, name }) => [jsonName, name]));
const TIMES = new Set(["createdAt", "created_at", "updatedAt", "updated_at"]);
const MAX_QUOTED_CHARACTERS = 200;

/**
 * Encodes one record that came in the JSON form of IngestionData. A record that isn't in that form, or has a key that
 * IngestionData doesn't know, is rejected: nothing that a producer sent is dropped in silence.
 */
export function recordFromJson(json: JsonValue): Uint8Array | RejectedRecord {
  if (!isObject(json)) return malformed("", "not an object");
  const unknown = Object.keys(json).find((key) => !KEYS.has(key));
  if (unknown !== undefined) return malformed(clip(unknown), "there is no such field");
  const badText = findLoneSurrogate(json, LIMITS.metadataDepth + 1);
  if (badText !== undefined) {
    return reject(
      "invalid_utf8",
      clip(badText),
      `${clip(badText) || "a key"} holds half a surrogate pair, which UTF-8 has not; correct it`,
    );
  }
  const { metadata = null, attributes = null, ...rest } = json;
  if (metadata !== null && !isObject(metadata)) return malformed("metadata", "not an object");
  if (attributes !== null && !isTextMap(attributes)) return malformed("attributes", "not an object of texts");
  for (const [key, value] of Object.entries(rest)) {
    if (TIMES.has(key) && typeof value === "string" && !hasRealDay(value))
      return malformed(findName(key), "there is no such day");
  }
  let others: Uint8Array;
  try {
    others = toBinary(IngestionDataSchema, fromJson(IngestionDataSchema, rest));
  } catch (error) {
    return malformed(findFaultyField(rest), withoutValue((error as Error).message));
  }
  try {
    return Buffer.concat([others, encodeOpenFields(metadata ?? undefined, attributes ?? {})]);
  } catch (error) {
    if (error instanceof StructError) return rejectMetadata("too_deep");
    if (error instanceof RangeError) return tooLarge();
    throw error;
  }
}

function malformed(field: string, why: string): RejectedRecord {
  return reject(
    "malformed_record",
    field,
    `${field || "the record"} is not in the JSON form of chowhound.v1.IngestionData: ${clip(why)}`,
  );
}

function tooLarge(): RejectedRecord {
  return reject(
    "record_too_large",
    "",
    `the record has more than ${LIMITS.recordBytes} bytes; split it or store large parts elsewhere`,
  );
}

function isObject(json: JsonValue): json is JsonObject {
  return typeof json === "object" && json !== null && !Array.isArray(json);
}

function isTextMap(json: JsonValue): json is Record<string, string> {
  return isObject(json) && Object.keys(json).every((key) => typeof json[key] === "string");
}

/** The library ends with the value that it can't read, which is contents: reasons are shown where contents aren't. */
function withoutValue(why: string): string {
  return why.replace(/(, got|from JSON:) (".*"|-?\d.*|true|false)$/s, "$1 another value");
}

/** What a producer wrote, short enough for a receipt. */
function clip(text: string): string {
  return text.slice(0, MAX_QUOTED_CHARACTERS).toWellFormed();
}

/** The first field that can't be read on its own, by its protobuf name. */
function findFaultyField(json: JsonObject): string {
  for (const [key, value] of Object.entries(json)) {
    try {
      fromJson(IngestionDataSchema, { [key]: value });
    } catch {
      return findName(key);
    }
  }
  return "";
}

/** The protobuf name of a field in either spelling. */
function findName(key: string): string {
  return IngestionDataSchema.fields.find(({ jsonName }) => jsonName === key)?.name ?? key;
}

/**
 * The path of a text or key that can't be encoded: the encoder would replace part of it. What lies deeper than
 * `depthLeft` is not looked at, for no record may nest so deep.
 */
function findLoneSurrogate(json: JsonValue, depthLeft: number): string | undefined {
  if (typeof json === "string") return json.isWellFormed() ? undefined : "";
  if (typeof json !== "object" || json === null || depthLeft === 0) return undefined;
  if (Array.isArray(json)) {
    for (let i = 0; i < json.length; i++) {
      const path = findLoneSurrogate(json[i]!, depthLeft - 1);
      if (path !== undefined) return join(`${i}`, path);
    }
    return undefined;
  }
  for (const key of Object.keys(json)) {
    if (!key.isWellFormed()) return "";
    const path = findLoneSurrogate(json[key]!, depthLeft - 1);
    if (path !== undefined) return join(key, path);
  }
  return undefined;
}

function join(key: string, path: string): string {
  return path === "" ? key : `${key}.${path}`;
}
