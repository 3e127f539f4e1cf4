import { getDefaultHighWaterMark, setDefaultHighWaterMark } from "node:stream";
import { toGrpcError } from "@chowhound/shared/rpc/error-details";
import {
  type Metadata,
  ServerInterceptingCall,
  type ServerInterceptingCallInterface,
  type ServerInterceptor,
  type StatusObject,
} from "@grpc/grpc-js";
import { callHeaders } from "./grpc-call.ts";
import type { Admit } from "./ingestor.ts";
import { forgetFrames, Received } from "./received.ts";

/** The library doesn't name these. */
type Listener = Parameters<ServerInterceptingCall["start"]>[0];
type Status = Parameters<ServerInterceptingCall["sendStatus"]>[0];

/**
 * Stands before the handlers of services on raw bytes: a call without a valid key ends before a message of it is read, a stream buffers
 * one message each way, and handlers get each message as {@link Received}.
 */
export function guard(serviceNames: readonly string[], admit: Admit): ServerInterceptor {
  const prefixes = serviceNames.map((name) => `/${name}/`);
  return ({ path }, call) => {
    // Health and reflection need no key.
    if (!prefixes.some((prefix) => path.startsWith(prefix))) return new ServerInterceptingCall(call);
    return new GuardedCall(call, admit);
  };
}

/**
 * Looks at the headers of the call, wraps its messages, and hands everything else on as it is. The library's own class asks an interceptor at
 * each step, whether it has anything to say or not, which costs as much as all that the gateway itself does with a call of one record.
 */
class GuardedCall extends ServerInterceptingCall {
  readonly #call: ServerInterceptingCallInterface;
  readonly #admit: Admit;

  constructor(call: ServerInterceptingCallInterface, admit: Admit) {
    super(call);
    this.#call = call;
    this.#admit = admit;
  }

  override start(listener: Listener): void {
    this.#call.start({
      onReceiveMetadata: (metadata) => {
        try {
          this.#admit(callHeaders(metadata).authorization);
        } catch (error) {
          this.#call.sendStatus(toStatus(error));
          return;
        }
        bufferingOne(() => listener.onReceiveMetadata(metadata));
      },
      onReceiveMessage: (message) => listener.onReceiveMessage(new Received(message)),
      onReceiveHalfClose: () => {
        forgetFrames(this.#call);
        listener.onReceiveHalfClose();
      },
      onCancel: () => listener.onCancel(),
    });
  }

  override sendMetadata(metadata: Metadata): void {
    this.#call.sendMetadata(metadata);
  }

  override sendMessage(message: unknown, callback: () => void): void {
    this.#call.sendMessage(message, callback);
  }

  override sendStatus(status: Status): void {
    this.#call.sendStatus(status);
  }
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
