import { getDefaultHighWaterMark, setDefaultHighWaterMark } from "node:stream";
import { toGrpcError } from "@chowhound/shared/rpc/error-details";
import { ServerInterceptingCall, type ServerInterceptor, type StatusObject } from "@grpc/grpc-js";
import { callHeaders } from "./grpc-call.ts";
import type { Admit } from "./ingestor.ts";

/**
 * Stands before the handlers of services: a call without a valid key ends before a message of it is read, and a stream
 * buffers one message each way.
 */
export function guard(serviceNames: readonly string[], admit: Admit): ServerInterceptor {
  const prefixes = serviceNames.map((name) => `/${name}/`);
  return ({ path }, call) => {
    // Health and reflection need no key.
    if (!prefixes.some((prefix) => path.startsWith(prefix))) return new ServerInterceptingCall(call);
    return new ServerInterceptingCall(call, {
      start: (next) =>
        next({
          onReceiveMetadata: (metadata, proceed) => {
            try {
              admit(callHeaders(metadata).authorization);
            } catch (error) {
              call.sendStatus(toStatus(error));
              return;
            }
            bufferingOne(() => proceed(metadata));
          },
        }),
    });
  };
}

function toStatus(error: unknown): StatusObject {
  const { code, details, metadata } = toGrpcError(error);
  return { code: code!, details: details!, metadata: metadata! };
}

/**
 * grpc-js reads ahead as many messages as a stream of objects buffers: 16 by default, of up to 4 MiB each. It has no option for
 * that, so the default is another one while it makes the call's stream, which it does at once.
 */
function bufferingOne(makeStream: () => void): void {
  const usual = getDefaultHighWaterMark(true);
  setDefaultHighWaterMark(true, 1);
  try {
    makeStream();
  } finally {
    setDefaultHighWaterMark(true, usual);
  }
}
