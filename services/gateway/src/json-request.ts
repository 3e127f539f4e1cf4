import { type DescMessage, fromJson, type JsonValue, type Message } from "@bufbuild/protobuf";
import { CallError } from "@chowhound/shared/errors/call-error";
import { LIMITS } from "@chowhound/shared/record/limits";
import type { IngestRecord } from "./ingestor.ts";
import { recordFromJson } from "./json-record.ts";

const UTF8 = new TextDecoder("utf-8", { fatal: true });
const MAX_WHY_CHARACTERS = 300;
const FORM = 'send {"records": [...]}';

/**
 * The records of an IngestRequest in its JSON form, converted one by one: a bad one harms only itself. It stops where the
 * call is beyond its limits already; `accept` refuses what has come so far.
 * Throws CallError malformed_request.
 */
export function readJsonRequest(body: Uint8Array): IngestRecord[] {
  const records: IngestRecord[] = [];
  let bytes = 0;
  for (const json of listRecords(parse(body, FORM))) {
    const record = recordFromJson(json);
    records.push(record);
    if (record instanceof Uint8Array) bytes += record.length;
    if (records.length > LIMITS.callRecords || bytes > LIMITS.callBytes) break;
  }
  return records;
}

/**
 * Decodes a request in its JSON form. A field that is unknown is refused: left out, it would not narrow what is asked for.
 * Throws CallError malformed_request.
 */
export function readJsonMessage(schema: DescMessage, body: Uint8Array): Message {
  const json = parse(body, "send {} at least");
  try {
    return fromJson(schema, json);
  } catch (cause) {
    const why = (cause as Error).message.slice(0, MAX_WHY_CHARACTERS).toWellFormed();
    throw malformed(`the body is no ${schema.name} in its JSON form: ${why}`, cause);
  }
}

function parse(body: Uint8Array, form: string): JsonValue {
  if (body.length === 0) throw malformed(`the body is empty; ${form}`);
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
    throw malformed(`the body is not JSON; ${form}`, cause);
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
