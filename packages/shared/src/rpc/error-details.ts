import { create, type Message, toBinary } from "@bufbuild/protobuf";
import type { GenMessage } from "@bufbuild/protobuf/codegenv2";
import { anyPack } from "@bufbuild/protobuf/wkt";
import {
  BadRequestSchema,
  ErrorInfoSchema,
  RetryInfoSchema,
} from "@chowhound/shared/contracts/google/rpc/error_details";
import { StatusSchema } from "@chowhound/shared/contracts/google/rpc/status";
import { Metadata, type ServerErrorResponse, type status } from "@grpc/grpc-js";
import { CallError } from "../errors/call-error.ts";

/** One detail of an error: a google.rpc message with its schema. */
export interface ErrorDetail {
  schema: GenMessage<Message>;
  value: Message;
}

/** The google.rpc details of a call error: ErrorInfo always, RetryInfo and BadRequest where they apply. */
export function errorDetails(error: CallError): ErrorDetail[] {
  const details: ErrorDetail[] = [
    {
      schema: ErrorInfoSchema,
      value: create(ErrorInfoSchema, { reason: error.reason, domain: "chowhound", metadata: error.metadata }),
    },
  ];
  if (error.retryDelayMs !== undefined) {
    const delayMs = Math.round(error.retryDelayMs);
    const retryDelay = { seconds: BigInt(Math.floor(delayMs / 1000)), nanos: (delayMs % 1000) * 1_000_000 };
    details.push({ schema: RetryInfoSchema, value: create(RetryInfoSchema, { retryDelay }) });
  }
  if (error.violations.length > 0) {
    const fieldViolations = [...error.violations];
    details.push({ schema: BadRequestSchema, value: create(BadRequestSchema, { fieldViolations }) });
  }
  return details;
}

/** What grpc-js sends for an error: a CallError with its details, anything else as INTERNAL without its inside. */
export function toGrpcError(error: unknown): ServerErrorResponse {
  const callError =
    error instanceof CallError ? error : new CallError("internal", "internal error; see the service's log");
  // It may quote half a character, and the library can't send that.
  const message = callError.message.toWellFormed();
  const metadata = new Metadata();
  const encoded = toBinary(
    StatusSchema,
    create(StatusSchema, {
      code: callError.code,
      message,
      details: errorDetails(callError).map(({ schema, value }) => anyPack(schema, value)),
    }),
  );
  metadata.set("grpc-status-details-bin", Buffer.from(encoded));
  return {
    name: "Error",
    message,
    code: callError.code as status,
    details: message,
    metadata,
  };
}
