import { create, type MessageInitShape, type MessageShape } from "@bufbuild/protobuf";
import type { GenService, GenServiceMethods } from "@bufbuild/protobuf/codegenv2";
import { grpcServiceDefinition } from "@chowhound/shared/rpc/grpc-service";
import { credentials, Metadata, makeClientConstructor, type ServiceError } from "@grpc/grpc-js";

/** One async function per unary method: request in, response out. Rejects with grpc-js's ServiceError. */
export type UnaryCalls<M extends GenServiceMethods> = {
  [K in keyof M as M[K] extends { methodKind: "unary" } ? K : never]: (
    request: MessageInitShape<M[K]["input"]>,
  ) => Promise<MessageShape<M[K]["output"]>>;
};

export interface GrpcClient<M extends GenServiceMethods> {
  calls: UnaryCalls<M>;
  /** The grpc-js client, which has the streaming methods too, and the metadata that they want. */
  raw: InstanceType<ReturnType<typeof makeClientConstructor>>;
  metadata: Metadata;
  close(): void;
}

/**
 * A client without TLS for a service on this machine, from the service's descriptor.
 *
 * @param address such as "127.0.0.1:24690"
 * @param key sent as bearer token
 */
export function createGrpcClient<M extends GenServiceMethods>(
  service: GenService<M>,
  address: string,
  { key, timeoutMs = 30_000 }: { key?: string; timeoutMs?: number } = {},
): GrpcClient<M> {
  const raw = new (makeClientConstructor(grpcServiceDefinition(service), service.typeName))(
    address,
    credentials.createInsecure(),
  );
  const metadata = new Metadata();
  if (key !== undefined) metadata.set("authorization", `Bearer ${key}`);
  const calls: Record<string, unknown> = {};
  for (const method of service.methods) {
    if (method.methodKind !== "unary") continue;
    calls[method.localName] = (request: MessageInitShape<typeof method.input>) =>
      new Promise((resolve, reject) => {
        const deadline = Date.now() + timeoutMs;
        const settle = (error: ServiceError | null, response: unknown) =>
          error === null ? resolve(response) : reject(error);
        raw[method.localName]!(create(method.input, request), metadata, { deadline }, settle);
      });
  }
  return { calls: calls as UnaryCalls<M>, raw, metadata, close: () => raw.close() };
}
