import type { DescMethod } from "@bufbuild/protobuf";
import { status } from "@grpc/grpc-js";
import { type Attributes, type Span, type SpanContext, SpanKind } from "@opentelemetry/api";
import {
  ATTR_RPC_METHOD,
  ATTR_RPC_STATUS_CODE,
  ATTR_RPC_SYSTEM_NAME,
} from "@opentelemetry/semantic-conventions";
import type { CallError } from "../errors/call-error.ts";
import { markFailed, startSpan } from "./call-spans.ts";

/** How a call came in. */
export interface RpcMethod {
  system: "grpc" | "connectrpc";
  /** Such as "chowhound.v1.IngestionService/Ingest". */
  method: string;
}

export function rpcMethod(system: RpcMethod["system"], { parent, name }: DescMethod): RpcMethod {
  return { system, method: `${parent.typeName}/${name}` };
}

/** The span of one sampled call to this process. */
export class ServerSpan {
  readonly #span: Span;

  constructor(span: Span) {
    this.#span = span;
  }

  get context(): SpanContext {
    return this.#span.spanContext();
  }

  setAttributes(attributes: Attributes): void {
    this.#span.setAttributes(attributes);
  }

  /** So many records of the call were refused for this reason. */
  rejected(reason: string, count: number): void {
    this.#span.addEvent("records.rejected", { "chowhound.reason": reason, "chowhound.records": count });
  }

  /** Ends the span; `error` where the call failed. */
  end(error?: CallError): void {
    if (error !== undefined) {
      this.#span.setAttribute(ATTR_RPC_STATUS_CODE, status[error.code]!);
      markFailed(this.#span, error.reason);
    }
    this.#span.end();
  }
}

/** Starts the span of a call, under the caller's where there is one. Undefined where the call isn't sampled. */
export function startServerSpan(
  rpc: RpcMethod | undefined,
  parent: SpanContext | undefined,
): ServerSpan | undefined {
  const attributes: Attributes =
    rpc === undefined ? {} : { [ATTR_RPC_SYSTEM_NAME]: rpc.system, [ATTR_RPC_METHOD]: rpc.method };
  const span = startSpan(rpc?.method ?? "ingest", { kind: SpanKind.SERVER, attributes }, parent);
  return span.isRecording() ? new ServerSpan(span) : undefined;
}
