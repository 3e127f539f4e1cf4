import type { Metadata } from "@grpc/grpc-js";
import type { CallHead } from "./ingestor.ts";

/** The headers of a call that the gateway reads. */
export function callHeaders(metadata: Metadata): Omit<CallHead, "rpc"> {
  const first = (name: string): string | undefined => metadata.get(name)[0]?.toString();
  return {
    authorization: first("authorization"),
    traceparent: first("traceparent"),
    tracestate: first("tracestate"),
  };
}
