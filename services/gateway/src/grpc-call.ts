import { CallError } from "@chowhound/shared/errors/call-error";
import { splitRequest } from "@chowhound/shared/record/record-view";
import type { Metadata } from "@grpc/grpc-js";
import type { IngestCall } from "./ingestor.ts";

/** Throws CallError malformed_request. */
export function readRequest(request: Uint8Array): ReturnType<typeof splitRequest> {
  try {
    return splitRequest(request);
  } catch (cause) {
    throw new CallError("malformed_request", `the request is not well formed: ${(cause as Error).message}`, {
      cause,
    });
  }
}

/** The headers of a call that the gateway reads. */
export function callHeaders(
  metadata: Metadata,
): Pick<IngestCall, "authorization" | "traceparent" | "tracestate"> {
  const first = (name: string): string | undefined => metadata.get(name)[0]?.toString();
  return {
    authorization: first("authorization"),
    traceparent: first("traceparent"),
    tracestate: first("tracestate"),
  };
}
