import { type DescMessage, fromBinary, type Message } from "@bufbuild/protobuf";
import { CallError } from "@chowhound/shared/errors/call-error";
import { LIMITS } from "@chowhound/shared/record/limits";
import { splitRequest } from "@chowhound/shared/record/record-view";

/** Tags and lengths of as many records as a call may hold, and some. */
const MAX_BESIDE_BYTES = 64 * 1024;

/**
 * Splits an encoded IngestRequest or IngestStreamRequest. It stops where there are more records than a call may hold;
 * `accept` refuses what has come so far. Throws CallError malformed_request.
 */
export function readBinaryRequest(request: Uint8Array): ReturnType<typeof splitRequest> {
  try {
    const split = splitRequest(request, LIMITS.callRecords);
    const bytes = split.records.reduce((sum, { length }) => sum + length, 0);
    if (request.length - bytes <= MAX_BESIDE_BYTES) return split;
    // Views of it would hold all of it until they are acknowledged, and only their own bytes count as in flight.
    return { ...split, records: split.records.map((record) => Buffer.from(record)) };
  } catch (cause) {
    throw malformed(cause);
  }
}

/** Decodes a request. Throws CallError malformed_request. */
export function readBinaryMessage(schema: DescMessage, bytes: Uint8Array): Message {
  try {
    return fromBinary(schema, bytes);
  } catch (cause) {
    throw malformed(cause);
  }
}

function malformed(cause: unknown): CallError {
  const message = `the request is not well formed: ${(cause as Error).message}`;
  return new CallError("malformed_request", message, { cause });
}
