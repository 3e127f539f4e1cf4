import type { Query } from "@chowhound/shared/contracts/chowhound/internal/v1/query";
import type {
  GetRecordRequest,
  ListRecordsRequest,
  LocateRecordsRequest,
} from "@chowhound/shared/contracts/chowhound/v1/query_service";
import { CallError } from "@chowhound/shared/errors/call-error";
import { LIMITS } from "@chowhound/shared/record/limits";
import { timestampUs } from "@chowhound/shared/record/record-version";
import { parseUuid } from "@chowhound/shared/record/uuid";

const MAX_PAGE_SIZE = 1_000;
/** A token holds the key of a record, in JSON and base64url. */
const MAX_TOKEN_BYTES = 8 * 1024;

type Question = NonNullable<Query["question"]["value"]>;

/** Refuses a question that has no sensible answer. Throws CallError "invalid_query" that names the field at fault. */
export function validateQuery(question: Question): void {
  if (question.$typeName === "chowhound.v1.GetRecordRequest") validateGet(question);
  else if (question.$typeName === "chowhound.v1.ListRecordsRequest") validateList(question);
  else validateLocate(question);
}

function validateGet({ by }: GetRecordRequest): void {
  if (by.case === undefined) throw invalid("by", "names no record; set exactly one of key and uuid");
  if (by.case === "uuid") {
    checkUuid("uuid", by.value);
    return;
  }
  const { sourceType, sourceId, dataId } = by.value;
  checkName("key.source_type", sourceType, LIMITS.sourceTypeBytes);
  checkName("key.source_id", sourceId, LIMITS.sourceIdBytes);
  checkName("key.data_id", dataId, LIMITS.dataIdBytes);
}

function validateList(request: ListRecordsRequest): void {
  const { sourceType, sourceId, storedSince, storedBefore, pageSize, pageToken } = request;
  if (sourceType !== "") checkName("source_type", sourceType, LIMITS.sourceTypeBytes);
  if (sourceId !== "") {
    if (sourceType === "") throw invalid("source_id", "is set without source_type; set that, too");
    checkName("source_id", sourceId, LIMITS.sourceIdBytes);
  }
  const sinceUs = checkTime("stored_since", storedSince);
  const beforeUs = checkTime("stored_before", storedBefore);
  if (sinceUs !== undefined && beforeUs !== undefined && beforeUs <= sinceUs)
    throw invalid("stored_before", "is not after stored_since, so nothing lies between them; correct one");
  checkPage(pageSize, pageToken);
}

function validateLocate({ id, since, pageSize, pageToken }: LocateRecordsRequest): void {
  checkUuid("id", id);
  checkTime("since", since);
  checkPage(pageSize, pageToken);
}

function checkUuid(field: string, value: string): void {
  if (parseUuid(value) === undefined)
    throw invalid(field, "is not in the canonical form of 36 characters, or nil or max; correct it");
}

function checkPage(pageSize: number, pageToken: string): void {
  if (pageSize > MAX_PAGE_SIZE)
    throw invalid("page_size", `is more than ${MAX_PAGE_SIZE}; ask for several pages`);
  if (pageToken.length > MAX_TOKEN_BYTES)
    throw invalid("page_token", "is no next_page_token; send it exactly as it came, or leave it empty");
}

function checkName(field: string, value: string, maxBytes: number): void {
  if (value === "") throw invalid(field, "is empty; a key has all of source_type, source_id and data_id");
  if (Buffer.byteLength(value) > maxBytes)
    throw invalid(field, `has more than ${maxBytes} bytes, which no record has; correct it`);
  if (value.includes("\0"))
    throw invalid(field, "holds the character U+0000, which no record has; correct it");
}

function checkTime(field: string, time: ListRecordsRequest["storedSince"]): number | undefined {
  if (time === undefined) return undefined;
  const us = timestampUs({ seconds: Number(time.seconds), nanos: time.nanos });
  if (us === undefined || us < LIMITS.earliestUs)
    throw invalid(field, "is no time from 1900 on; check the unit (seconds, and nanos below a second)");
  return us;
}

function invalid(field: string, what: string): CallError {
  return new CallError("invalid_query", `${field} ${what}`, { field });
}
