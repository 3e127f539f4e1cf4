import type { JsonValue } from "@bufbuild/protobuf";
import { CallError } from "@chowhound/shared/errors/call-error";
import { LIMITS } from "@chowhound/shared/record/limits";
import type { IngestRecord } from "./ingestor.ts";
import { recordFromJson } from "./json-record.ts";

const UTF8 = new TextDecoder("utf-8", { fatal: true });
const FORM = 'send {"records": [...]}';

/**
 * The records of an IngestRequest in its JSON form, converted one by one: a bad one harms only itself. It stops where the
 * call is beyond its limits already; `accept` refuses what has come so far.
 * Throws CallError malformed_request.
 */
export function readJsonRequest(body: Uint8Array): IngestRecord[] {
  const records: IngestRecord[] = [];
  let bytes = 0;
  for (const json of listRecords(parse(body))) {
    const record = recordFromJson(json);
    records.push(record);
    if (record instanceof Uint8Array) bytes += record.length;
    if (records.length > LIMITS.callRecords || bytes > LIMITS.callBytes) break;
  }
  return records;
}

function parse(body: Uint8Array): JsonValue {
  if (body.length === 0) throw malformed(`the body is empty; ${FORM}`);
  let text: string;
  try {
    text = UTF8.decode(body);
  } catch (cause) {
    throw malformed("the body is not valid UTF-8; encode it as UTF-8", cause);
  }
  try {
    return JSON.parse(text);
  } catch (cause) {
    // The parser's message quotes the body.
    throw malformed(`the body is not JSON; ${FORM}`, cause);
  }
}

function listRecords(request: JsonValue): readonly JsonValue[] {
  if (typeof request !== "object" || request === null || Array.isArray(request))
    throw malformed(`the body is not a JSON object; ${FORM}`);
  // Beside records, a field that is unknown is one of a later version; instead of records, it is a slip.
  const [unknown] = Object.keys(request);
  if (request.records === undefined && unknown !== undefined)
    throw malformed(`${JSON.stringify(unknown.slice(0, 100))} is no field of IngestRequest; ${FORM}`);
  const records = request.records ?? [];
  if (!Array.isArray(records)) {
    const message = `records is not a list; ${FORM}`;
    throw new CallError("malformed_request", message, { field: "records" });
  }
  return records;
}

function malformed(message: string, cause?: unknown): CallError {
  return new CallError("malformed_request", message, { cause });
}
