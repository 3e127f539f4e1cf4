import { status } from "@grpc/grpc-js";
import { CallFailedError } from "./producer.ts";

/** @param code gRPC's */
export function callFailed(code: number): CallFailedError {
  const isTransient = code === status.UNAVAILABLE || code === status.RESOURCE_EXHAUSTED;
  return new CallFailedError(`a call ended with the gRPC status ${code} (${status[code]})`, isTransient);
}
