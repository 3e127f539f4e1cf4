import { fromJson, type JsonValue, toBinary, toJson } from "@bufbuild/protobuf";
import { type Value, ValueSchema } from "@bufbuild/protobuf/wkt";
import { IngestionDataSchema } from "@chowhound/shared/contracts/chowhound/v1/ingestion_data";
import { type RejectedRecord, reject } from "./validate-record.ts";

/** Far above what a record may nest: the validation then names its limit. */
export const JSON_RECURSION_LIMIT = 1_000;
const OPTIONS = { recursionLimit: JSON_RECURSION_LIMIT };

/**
 * Encodes one record that came in the JSON form of IngestionData. A record that isn't in that form, or has a key that
 * IngestionData doesn't know, is rejected: nothing that a producer sent is dropped in silence.
 */
export function recordFromJson(value: Value): Uint8Array | RejectedRecord {
  const json = toJson(ValueSchema, value);
  const badText = findLoneSurrogate(json, "");
  if (badText !== undefined) {
    return reject(
      "invalid_utf8",
      badText,
      `${badText || "a text"} holds half a surrogate pair, which UTF-8 has not; correct it`,
    );
  }
  try {
    return toBinary(IngestionDataSchema, fromJson(IngestionDataSchema, json, OPTIONS));
  } catch (error) {
    const field = findFaultyField(json);
    const message = `${field || "the record"} is not in the JSON form of chowhound.v1.IngestionData: ${(error as Error).message}`;
    return reject("malformed_record", field, message);
  }
}

/** The first field that can't be read on its own, by its protobuf name; "" where the whole is no object. */
function findFaultyField(json: JsonValue): string {
  if (json === null || typeof json !== "object" || Array.isArray(json)) return "";
  for (const [key, value] of Object.entries(json)) {
    try {
      fromJson(IngestionDataSchema, { [key]: value }, OPTIONS);
    } catch {
      return IngestionDataSchema.fields.find(({ jsonName }) => jsonName === key)?.name ?? key;
    }
  }
  return "";
}

/** The path of a text or key that can't be encoded: the encoder would replace part of it. */
function findLoneSurrogate(json: JsonValue, path: string): string | undefined {
  if (typeof json === "string") return json.isWellFormed() ? undefined : path;
  if (json === null || typeof json !== "object") return undefined;
  for (const [key, value] of Object.entries(json)) {
    if (!key.isWellFormed()) return path;
    const found = findLoneSurrogate(value, path === "" ? key : `${path}.${key}`);
    if (found !== undefined) return found;
  }
  return undefined;
}
