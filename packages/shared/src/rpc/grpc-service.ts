import {
  create,
  type DescMethodUnary,
  type DescService,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import type { GenService, GenServiceMethods } from "@bufbuild/protobuf/codegenv2";
import type { handleUnaryCall, ServiceDefinition, UntypedServiceImplementation } from "@grpc/grpc-js";
import { toGrpcError } from "./error-details.ts";

/**
 * A service's definition for @grpc/grpc-js.
 *
 * @param rawBytes hand requests and responses over as bytes instead of messages: the handler reads what it needs
 */
export function grpcServiceDefinition(service: DescService, { rawBytes = false } = {}): ServiceDefinition {
  const definition: Record<string, ServiceDefinition[string]> = {};
  for (const method of service.methods) {
    const codec = <S extends typeof method.input>(schema: S) =>
      rawBytes
        ? {
            serialize: (bytes: Uint8Array) => (Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes)),
            deserialize: (bytes: Buffer) => bytes,
          }
        : {
            serialize: (message: MessageShape<S>) => Buffer.from(toBinary(schema, message)),
            deserialize: (bytes: Buffer) => fromBinary(schema, bytes),
          };
    const request = codec(method.input);
    const response = codec(method.output);
    definition[method.localName] = {
      path: `/${service.typeName}/${method.name}`,
      originalName: method.localName,
      requestStream: method.methodKind === "client_streaming" || method.methodKind === "bidi_streaming",
      responseStream: method.methodKind === "server_streaming" || method.methodKind === "bidi_streaming",
      requestSerialize: request.serialize,
      requestDeserialize: request.deserialize,
      responseSerialize: response.serialize,
      responseDeserialize: response.deserialize,
    };
  }
  return definition;
}

/** One async function per unary method: request in, response out, CallError thrown for a documented failure. */
export type UnaryImplementation<M extends GenServiceMethods> = {
  [K in keyof M as M[K] extends { methodKind: "unary" } ? K : never]: (
    request: MessageShape<M[K]["input"]>,
  ) => Promise<MessageInitShape<M[K]["output"]>>;
};

/** Handlers for @grpc/grpc-js from async functions. `onError` sees what is not a CallError. */
export function unaryHandlers<M extends GenServiceMethods>(
  service: GenService<M>,
  implementation: UnaryImplementation<M>,
  onError: (method: string, error: unknown) => void,
): UntypedServiceImplementation {
  const handlers: UntypedServiceImplementation = {};
  for (const method of service.methods as readonly DescMethodUnary[]) {
    const run = implementation[method.localName as keyof typeof implementation] as
      | ((request: unknown) => Promise<MessageInitShape<typeof method.output>>)
      | undefined;
    if (run === undefined) continue;
    const handler: handleUnaryCall<unknown, unknown> = (call, callback) => {
      run(call.request).then(
        (response) => callback(null, create(method.output, response)),
        (error: unknown) => {
          const grpcError = toGrpcError(error);
          if (grpcError.code === 13) onError(method.name, error);
          callback(grpcError);
        },
      );
    };
    handlers[method.localName] = handler;
  }
  return handlers;
}
