import { CallError } from "@chowhound/shared/errors/call-error";
import { LIMITS } from "@chowhound/shared/record/limits";
import { splitRequest } from "@chowhound/shared/record/record-view";

/**
 * Splits an encoded IngestRequest or IngestStreamRequest. It stops where there are more records than a call may hold;
 * `accept` refuses what has come so far. Throws CallError malformed_request.
 */
export function readBinaryRequest(request: Uint8Array): ReturnType<typeof splitRequest> {
  try {
    return splitRequest(request, LIMITS.callRecords);
  } catch (cause) {
    throw new CallError("malformed_request", `the request is not well formed: ${(cause as Error).message}`, {
      cause,
    });
  }
}
