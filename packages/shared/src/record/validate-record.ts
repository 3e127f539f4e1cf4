import { isUtf8 } from "node:buffer";
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { IngestionDataSchema } from "@chowhound/shared/contracts/chowhound/v1/ingestion_data";
import type { RecordReason } from "../errors/reasons.ts";
import { newUuid } from "./assign-uuid.ts";
import { contentHash } from "./content-hash.ts";
import { LANG_PATTERN, LIMITS, TENANT_ID_PATTERN } from "./limits.ts";
import { recordVersionUs, timestampUs } from "./record-version.ts";
import { type FieldNumber, RECORD_FIELD, RecordView } from "./record-view.ts";
import { StructError, type StructProblem } from "./struct-json.ts";
import { readUuid } from "./uuid.ts";
import { WireError } from "./wire.ts";

/** A record that may enter the mesh, with what the batch says about it. */
export interface AcceptedRecord {
  kind: "accepted";
  /** The encoded IngestionData: as sent, or normalised where protobuf would have merged repeated fields. */
  bytes: Uint8Array;
  /** 16 bytes: as sent, or assigned (version 7). */
  uuid: Uint8Array;
  /** 16 bytes. */
  contentHash: Uint8Array;
  /** What orders the records of one key, in microseconds since 1970. */
  versionUs: number;
  sourceType: Uint8Array;
  sourceId: Uint8Array;
}

/** A record that may not, and why. */
export interface RejectedRecord {
  kind: "rejected";
  reason: RecordReason;
  /** The field at fault, "" where it is the record as a whole. */
  field: string;
  /** What is wrong, the limit, and the remedy, for a person. Holds no record contents. */
  message: string;
}

export interface ValidationContext {
  /** The tenant of the call's key. */
  tenantId: string;
  nowMs: number;
  /** From `recordBytesLimit`. */
  maxRecordBytes: number;
}

/** Read over one record after the other; validation is synchronous. */
const view = new RecordView();

/** Decides about one encoded record. Pure, but for the uuid it assigns. */
export function validateRecord(
  bytes: Uint8Array,
  context: ValidationContext,
): AcceptedRecord | RejectedRecord {
  if (bytes.length > context.maxRecordBytes) {
    return reject(
      "record_too_large",
      "",
      `the record has ${bytes.length} bytes, more than ${context.maxRecordBytes}; split it or store large parts elsewhere`,
    );
  }
  try {
    view.read(bytes);
    return view.repeatsMessageField ? validateNormalised(bytes, context) : validate(context);
  } catch (error) {
    if (error instanceof StructError && error.problem === "repeated_field")
      return validateNormalised(bytes, context);
    if (error instanceof WireError) return malformed(error);
    throw error;
  }
}

export function reject(reason: RecordReason, field: string, message: string): RejectedRecord {
  return { kind: "rejected", reason, field, message };
}

/** Protobuf merges message fields that come more than once. The view doesn't, so the library does it beforehand. */
function validateNormalised(bytes: Uint8Array, context: ValidationContext): AcceptedRecord | RejectedRecord {
  try {
    view.read(toBinary(IngestionDataSchema, fromBinary(IngestionDataSchema, bytes)));
  } catch (error) {
    return malformed(error as Error);
  }
  return validate(context);
}

function malformed(error: Error): RejectedRecord {
  return reject("malformed_record", "", `not an encoded chowhound.v1.IngestionData: ${error.message}`);
}

/** Judges the record in `view`. Throws WireError, or StructError "repeated_field". */
function validate(context: ValidationContext): AcceptedRecord | RejectedRecord {
  const sentUuid = readUuid(view.bytes, view.start(RECORD_FIELD.uuid), view.end(RECORD_FIELD.uuid));
  const rejection =
    checkTenant(context.tenantId) ??
    checkUuid(sentUuid) ??
    checkRequired(RECORD_FIELD.sourceType, "source_type") ??
    checkRequired(RECORD_FIELD.sourceId, "source_id") ??
    checkNameField(RECORD_FIELD.sourceType, "source_type", LIMITS.sourceTypeBytes) ??
    checkNameField(RECORD_FIELD.sourceId, "source_id", LIMITS.sourceIdBytes) ??
    checkNameField(RECORD_FIELD.dataId, "data_id", LIMITS.dataIdBytes) ??
    checkNameField(RECORD_FIELD.metadataType, "metadata_type", LIMITS.metadataTypeBytes) ??
    checkLang() ??
    checkText(view.slice(RECORD_FIELD.data), "data") ??
    checkPayload() ??
    checkAttributes();
  if (rejection !== undefined) return rejection;

  const createdAtUs = readTime(RECORD_FIELD.createdAt, "created_at", context.nowMs);
  if (typeof createdAtUs === "object") return createdAtUs;
  const updatedAtUs = readTime(RECORD_FIELD.updatedAt, "updated_at", context.nowMs);
  if (typeof updatedAtUs === "object") return updatedAtUs;
  const versionUs = recordVersionUs(updatedAtUs, createdAtUs, sentUuid);
  if (versionUs === undefined) {
    return reject(
      "missing_time",
      "updated_at",
      "the record has no updated_at, no created_at and no version 7 uuid of its own to be ordered by; set one of them",
    );
  }
  // Only a time taken from the uuid has not been looked at yet.
  const outOfRange = checkRange(versionUs, "uuid", context.nowMs);
  if (outOfRange !== undefined) return outOfRange;

  const metadataBytes = view.byteLength(RECORD_FIELD.metadata);
  if (metadataBytes > LIMITS.metadataBytes) return tooLong("metadata", metadataBytes, LIMITS.metadataBytes);
  const hash = hashContent();
  if ("reason" in hash) return hash;
  return {
    kind: "accepted",
    bytes: view.bytes,
    uuid: sentUuid ?? newUuid(),
    contentHash: hash,
    versionUs,
    sourceType: view.slice(RECORD_FIELD.sourceType),
    sourceId: view.slice(RECORD_FIELD.sourceId),
  };
}

function checkTenant(tenantId: string): RejectedRecord | undefined {
  if (view.byteLength(RECORD_FIELD.tenantId) === 0) return undefined;
  const named = view.text(RECORD_FIELD.tenantId);
  if (named === tenantId) return undefined;
  return TENANT_ID_PATTERN.test(named)
    ? reject("tenant_mismatch", "tenant_id", "tenant_id is not the tenant of the key; leave it empty")
    : reject(
        "invalid_tenant_id",
        "tenant_id",
        `tenant_id does not match ${TENANT_ID_PATTERN.source}; leave it empty`,
      );
}

function checkUuid(parsed: Uint8Array | undefined): RejectedRecord | undefined {
  if (parsed !== undefined || view.byteLength(RECORD_FIELD.uuid) === 0) return undefined;
  return reject(
    "invalid_uuid",
    "uuid",
    "uuid is not in the canonical 36-character form, or nil, or max; leave it empty to have one assigned",
  );
}

type TextField = (typeof RECORD_FIELD)["sourceType" | "sourceId"];

function checkRequired(field: TextField, name: string): RejectedRecord | undefined {
  return view.byteLength(field) === 0
    ? reject("missing_field", name, `${name} is required; set it`)
    : undefined;
}

/**
 * Whether all bytes from `start` to `end` are printable ASCII, as in most short texts: then there is nothing wrong with
 * them, and nothing more to look at.
 */
function isPlain(bytes: Buffer, start: number, end: number): boolean {
  for (let i = start; i < end; i++) {
    const byte = bytes[i]!;
    if (byte < 0x20 || byte > 0x7e) return false;
  }
  return true;
}

function checkNameField(field: FieldNumber, name: string, maxBytes: number): RejectedRecord | undefined {
  return checkName(view.bytes, view.start(field), view.end(field), name, maxBytes);
}

/** A short text that people and indexes use as a name: bounded, and without control characters. */
function checkName(
  bytes: Buffer,
  start: number,
  end: number,
  name: string,
  maxBytes: number,
): RejectedRecord | undefined {
  if (end - start > maxBytes) return tooLong(name, end - start, maxBytes);
  if (isPlain(bytes, start, end)) return undefined;
  const value = bytes.subarray(start, end);
  const at = value.findIndex((byte) => byte < 0x20 || byte === 0x7f);
  if (value[at] === 0) return nulCharacter(name);
  if (at >= 0)
    return reject("control_character", name, `${name} holds a control character at byte ${at}; remove it`);
  return isUtf8(value) ? undefined : invalidUtf8(name);
}

/** A text of any length: whatever PostgreSQL's text can hold. */
function checkText(value: Buffer, name: string, what = name): RejectedRecord | undefined {
  if (!isUtf8(value)) return invalidUtf8(name, what);
  return value.includes(0) ? nulCharacter(name, what) : undefined;
}

function checkLang(): RejectedRecord | undefined {
  const length = view.byteLength(RECORD_FIELD.lang);
  if (length === 0) return undefined;
  if (length > LIMITS.langBytes) return tooLong("lang", length, LIMITS.langBytes);
  return LANG_PATTERN.test(view.text(RECORD_FIELD.lang))
    ? undefined
    : reject(
        "invalid_lang",
        "lang",
        'lang is not a BCP 47 tag such as "en" or "pt-BR"; correct it or leave it empty',
      );
}

function checkPayload(): RejectedRecord | undefined {
  const payload = view.rawPayload();
  const isEmpty =
    view.byteLength(RECORD_FIELD.data) === 0 &&
    !view.has(RECORD_FIELD.metadata) &&
    (payload === undefined || payload.content.length === 0);
  if (isEmpty) {
    return reject(
      "missing_field",
      "data",
      "the record has neither data nor metadata nor a raw_payload with content; set at least one",
    );
  }
  if (payload === undefined) return undefined;
  const { contentType } = payload;
  return checkName(contentType, 0, contentType.length, "raw_payload.content_type", LIMITS.contentTypeBytes);
}

function checkAttributes(): RejectedRecord | undefined {
  const count = view.attributeCount;
  if (count === 0) return undefined;
  if (count > LIMITS.attributeCount) {
    return reject(
      "too_many_attributes",
      "attributes",
      `the record has ${count} attributes, more than ${LIMITS.attributeCount}; put structured content into metadata`,
    );
  }
  let rejection: RejectedRecord | undefined;
  for (let index = 0; index < count; index++) {
    const { start1, end1, start2, end2 } = view.attributeAt(index);
    rejection ??= checkAttribute(view.bytes, start1, end1, start2, end2);
  }
  return rejection;
}

function checkAttribute(
  bytes: Buffer,
  keyStart: number,
  keyEnd: number,
  valueStart: number,
  valueEnd: number,
): RejectedRecord | undefined {
  const keyBytes = keyEnd - keyStart;
  if (keyBytes > LIMITS.attributeKeyBytes)
    return tooLong("attributes", keyBytes, LIMITS.attributeKeyBytes, "a key of attributes");
  if (!isPlain(bytes, keyStart, keyEnd)) {
    const badKey = checkText(bytes.subarray(keyStart, keyEnd), "attributes", "a key of attributes");
    if (badKey !== undefined) return badKey;
  }
  const valueBytes = valueEnd - valueStart;
  if (valueBytes <= LIMITS.attributeValueBytes && isPlain(bytes, valueStart, valueEnd)) return undefined;
  const name = `attributes[${JSON.stringify(bytes.toString("utf8", keyStart, keyEnd))}]`;
  return valueBytes > LIMITS.attributeValueBytes
    ? tooLong(name, valueBytes, LIMITS.attributeValueBytes)
    : checkText(bytes.subarray(valueStart, valueEnd), name);
}

type TimeField = (typeof RECORD_FIELD)["createdAt" | "updatedAt"];

/** Whole microseconds since 1970; undefined where the field is absent. */
function readTime(field: TimeField, name: string, nowMs: number): number | undefined | RejectedRecord {
  const time = view.timestamp(field);
  if (time === undefined) return undefined;
  if (time.nanos < 0 || time.nanos > 999_999_999) {
    return reject(
      "invalid_timestamp",
      name,
      `the nanos of ${name} are not within 0 to 999,999,999; correct them`,
    );
  }
  const us = timestampUs(time);
  return checkRange(us, name, nowMs) ?? us;
}

/** @param us undefined where the time is too far away to be counted in microseconds */
function checkRange(us: number | undefined, name: string, nowMs: number): RejectedRecord | undefined {
  if (us !== undefined && us >= LIMITS.earliestUs && us <= (nowMs + LIMITS.futureMs) * 1000) return undefined;
  return reject(
    "timestamp_out_of_range",
    name,
    `the time of ${name} is before 1900 or more than ${LIMITS.futureMs / 60_000} minutes in the future; check the unit and the clock`,
  );
}

const STRUCT_PROBLEMS: Record<Exclude<StructProblem, "repeated_field">, [RecordReason, string]> = {
  too_deep: [
    "metadata_too_deep",
    `metadata is nested more than ${LIMITS.metadataDepth} levels deep; flatten it, or send it as raw_payload`,
  ],
  not_finite: [
    "invalid_metadata",
    "metadata holds a number that is NaN or infinite, which JSON has not; use null or a text",
  ],
  empty_value: ["invalid_metadata", "metadata holds a value without a kind; set it, or set null_value"],
  nul_character: [
    "nul_character",
    "metadata holds the character U+0000, which PostgreSQL cannot store; remove it",
  ],
  invalid_utf8: ["invalid_utf8", "metadata holds text that is not valid UTF-8; encode it as UTF-8"],
};

/** The hash of the record's content, or why its metadata can't have one. */
function hashContent(): Buffer | RejectedRecord {
  try {
    return contentHash(view);
  } catch (error) {
    if (!(error instanceof StructError) || error.problem === "repeated_field") throw error;
    return rejectMetadata(error.problem);
  }
}

export function rejectMetadata(problem: keyof typeof STRUCT_PROBLEMS): RejectedRecord {
  const [reason, message] = STRUCT_PROBLEMS[problem];
  return reject(reason, "metadata", message);
}

function tooLong(name: string, bytes: number, maxBytes: number, what = name): RejectedRecord {
  return reject("field_too_long", name, `${what} has ${bytes} bytes, more than ${maxBytes}; shorten it`);
}

function invalidUtf8(name: string, what = name): RejectedRecord {
  return reject(
    "invalid_utf8",
    name,
    `${what} is not valid UTF-8; encode it as UTF-8, or send bytes as raw_payload`,
  );
}

function nulCharacter(name: string, what = name): RejectedRecord {
  return reject(
    "nul_character",
    name,
    `${what} holds the character U+0000, which PostgreSQL cannot store; remove it, or send bytes as raw_payload`,
  );
}
