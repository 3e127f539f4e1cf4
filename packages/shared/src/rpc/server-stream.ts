import { once } from "node:events";
import {
  create,
  type DescMessage,
  type DescMethodServerStreaming,
  type MessageInitShape,
  type MessageShape,
} from "@bufbuild/protobuf";
import type { handleServerStreamingCall, Metadata, ServerWritableStream } from "@grpc/grpc-js";
import { toGrpcError } from "./error-details.ts";

/** What a handler knows of the call beside its request. */
export interface StreamCall {
  metadata: Metadata;
  /** Aborted when the caller is gone. */
  signal: AbortSignal;
}

/**
 * A server-streaming handler for @grpc/grpc-js from an async generator, which is asked for the next response when the
 * caller has taken the last, and ended early when the caller is gone. It throws CallError for a documented failure.
 *
 * @param onError sees what is not a CallError
 */
export function serverStreamHandler<M extends DescMethodServerStreaming>(
  method: M,
  run: (request: MessageShape<M["input"]>, call: StreamCall) => AsyncIterable<MessageInitShape<M["output"]>>,
  onError: (method: string, error: unknown) => void,
): handleServerStreamingCall<MessageShape<M["input"]>, MessageShape<M["output"]>> {
  const serve = async (
    call: ServerWritableStream<MessageShape<M["input"]>, MessageShape<M["output"]>>,
  ): Promise<void> => {
    const gone = new AbortController();
    call.on("cancelled", () => gone.abort());
    const { signal } = gone;
    try {
      for await (const response of run(call.request, { metadata: call.metadata, signal })) {
        if (signal.aborted) return;
        const message = create(method.output as DescMessage, response) as MessageShape<M["output"]>;
        if (!call.write(message)) await once(call, "drain", { signal });
      }
      call.end();
    } catch (error) {
      if (signal.aborted) return;
      const grpcError = toGrpcError(error);
      if (grpcError.code === 13) onError(method.name, error);
      call.emit("error", grpcError);
    }
  };
  return (call) => void serve(call);
}
