import { fromJson, type JsonObject, type JsonValue, toBinary } from "@bufbuild/protobuf";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { IngestionDataSchema } from "@chowhound/shared/contracts/chowhound/v1/ingestion_data";
import { encodeOpenFields } from "@chowhound/shared/record/json-fields";
import { LIMITS } from "@chowhound/shared/record/limits";
import { hasRealDay } from "@chowhound/shared/record/real-day";
import { RECORD_FIELD, STRING_FIELDS } from "@chowhound/shared/record/record-view";
import { StructError } from "@chowhound/shared/record/struct-json";
import { contentUuid } from "./content-uuid.ts";
import type { Rejection } from "./source-record.ts";

/** What is given to records whose input doesn't say it. */
export interface RecordDefaults {
  /** Values of text fields by their protobuf names. */
  texts: Readonly<Record<string, string>>;
  /** The updated_at of a record without any time, in RFC 3339. */
  updatedAt?: () => string;
  /** Takes records without source or time, and gives them no uuid. */
  isIncomplete?: boolean;
}

const JSON_NAMES = new Map(IngestionDataSchema.fields.map(({ name, jsonName }) => [jsonName, name]));
const NAMES = new Set(JSON_NAMES.values());

/**
 * Encodes one record that is in the JSON form of IngestionData, field names in either spelling. A record without a uuid gets
 * one that is made of its content: the same record has the same uuid however often it is pushed.
 */
export function encodeRecord(json: JsonValue, defaults: RecordDefaults): Uint8Array | Rejection {
  try {
    const record = byName(json);
    fill(record, defaults);
    if (!defaults.isIncomplete) requireIdentity(record);
    const bytes = write(record, defaults.isIncomplete !== true);
    if (bytes.length > LIMITS.recordBytes) throw tooLarge();
    return bytes;
  } catch (error) {
    if (error instanceof RecordError) return error.rejection;
    throw error;
  }
}

/** The record with protobuf names, without what is null or an empty text: that is as good as not there. */
function byName(json: JsonValue): JsonObject {
  if (!isObject(json)) throw new RecordError("malformed_record", "", "the record is not a JSON object");
  const record: JsonObject = {};
  for (const key of Object.keys(json)) {
    const name = JSON_NAMES.get(key) ?? key;
    if (!NAMES.has(name)) {
      const remedy =
        key === "records" ? "records comes first in a request" : "put what is your own into metadata";
      throw malformed(key.slice(0, 200).toWellFormed(), `there is no such field; ${remedy}`);
    }
    if (record[name] !== undefined) throw malformed(name, "it is there in both spellings");
    const value = json[key]!;
    if (value !== null && value !== "") record[name] = value;
  }
  return record;
}

function fill(record: JsonObject, defaults: RecordDefaults): void {
  for (const name of Object.keys(defaults.texts)) record[name] ??= defaults.texts[name]!;
  if (defaults.updatedAt !== undefined && !hasTime(record)) record.updated_at = defaults.updatedAt();
}

/** What the gateway would say too, with a remedy that is at hand here. */
function requireIdentity(record: JsonObject): void {
  for (const [field, flag] of [
    ["source_type", "--source-type"],
    ["source_id", "--source-id"],
  ] as const) {
    if (record[field] === undefined)
      throw new RecordError(
        "missing_field",
        field,
        `${field} is required; set it, or give ${flag} for all records`,
      );
  }
  if (hasTime(record)) return;
  throw new RecordError(
    "missing_time",
    "updated_at",
    "the record has no updated_at, no created_at and no version 7 uuid of its own to be ordered by; set one of them, name its column with --column updated_at=NAME, or give --now",
  );
}

function hasTime({ updated_at, created_at, uuid }: JsonObject): boolean {
  return (
    updated_at !== undefined || created_at !== undefined || (typeof uuid === "string" && uuid[14] === "7")
  );
}

function write(record: JsonObject, wantsUuid: boolean): Uint8Array {
  const writer = new BinaryWriter();
  for (const [number, name] of STRING_FIELDS) {
    const text = record[name];
    if (text === undefined) continue;
    if (typeof text !== "string") throw malformed(name, "not a text");
    writer.tag(number, WireType.LengthDelimited).string(text);
  }
  writer.raw(writeOpenFields(record));
  writer.raw(writeOthers(record));
  const bytes = writer.finish();
  if (record.uuid !== undefined || !wantsUuid) return bytes;
  const uuid = new BinaryWriter().tag(RECORD_FIELD.uuid, WireType.LengthDelimited).string(contentUuid(bytes));
  return Buffer.concat([bytes, uuid.finish()]);
}

/** What only the library can read well; for the rest it needs too long. */
function writeOthers(record: JsonObject): Uint8Array {
  const others: JsonObject = {};
  for (const name of ["created_at", "updated_at", "raw_payload"])
    if (record[name] !== undefined) others[name] = record[name];
  for (const [name, time] of Object.entries(others))
    if (typeof time === "string" && !hasRealDay(time))
      throw malformed(name, "there is no such day; correct it");
  try {
    return toBinary(IngestionDataSchema, fromJson(IngestionDataSchema, others));
  } catch (error) {
    for (const name of Object.keys(others)) {
      try {
        fromJson(IngestionDataSchema, { [name]: others[name]! });
      } catch {
        const remedy =
          name === "raw_payload"
            ? ""
            : "; write it in RFC 3339 with a time zone, such as 2026-01-31T12:00:00Z";
        throw malformed(name, `${(error as Error).message.slice(0, 200)}${remedy}`);
      }
    }
    throw error;
  }
}

function writeOpenFields({ metadata, attributes = {} }: JsonObject): Uint8Array {
  if (metadata !== undefined && !isObject(metadata)) throw malformed("metadata", "not a JSON object");
  if (!isTextMap(attributes)) throw malformed("attributes", "not a JSON object of texts");
  try {
    return encodeOpenFields(metadata, attributes);
  } catch (error) {
    if (error instanceof StructError)
      throw new RecordError(
        "metadata_too_deep",
        "metadata",
        `metadata is nested more than ${LIMITS.metadataDepth} levels deep; flatten it, or send it as raw_payload`,
      );
    if (error instanceof RangeError) throw tooLarge();
    throw error;
  }
}

function isTextMap(json: JsonValue): json is Record<string, string> {
  return isObject(json) && Object.keys(json).every((key) => typeof json[key] === "string");
}

function isObject(json: JsonValue): json is JsonObject {
  return typeof json === "object" && json !== null && !Array.isArray(json);
}

function malformed(field: string, why: string): RecordError {
  return new RecordError(
    "malformed_record",
    field,
    `${field} is not in the JSON form of IngestionData: ${why}`,
  );
}

function tooLarge(): RecordError {
  return new RecordError(
    "record_too_large",
    "",
    `the record has more than ${LIMITS.recordBytes} bytes; split it or store large parts elsewhere`,
  );
}

class RecordError extends Error {
  override readonly name = "RecordError";
  readonly rejection: Rejection;

  constructor(reason: Rejection["reason"], field: string, message: string) {
    super(message);
    this.rejection = { reason, field, message };
  }
}
