import type { IncomingHttpHeaders, RequestListener } from "node:http";
import { type DescMessage, fromBinary, type JsonValue, type Message } from "@bufbuild/protobuf";
import { IngestionService, type Receipt } from "@chowhound/shared/contracts/chowhound/v1/ingestion_service";
import { CallError } from "@chowhound/shared/errors/call-error";
import { LIMITS } from "@chowhound/shared/record/limits";
import { errorDetails } from "@chowhound/shared/rpc/error-details";
import { keepByteOrderMarks } from "@chowhound/shared/runtime/keep-byte-order-marks";
import type { Logger } from "@chowhound/shared/runtime/logger";
import { rpcMethod } from "@chowhound/shared/telemetry/server-span";
import {
  ConnectError,
  createConnectRouter,
  createContextKey,
  createContextValues,
  type HandlerContext,
} from "@connectrpc/connect";
import { createAsyncIterable, encodeEnvelope, type UniversalHandler } from "@connectrpc/connect/protocol";
import { universalRequestFromNodeRequest, universalResponseToNodeResponse } from "@connectrpc/connect-node";
import { readBinaryMessage, readBinaryRequest } from "./binary-request.ts";
import { toReceipt } from "./call-receipt.ts";
import type { DoorService } from "./door-service.ts";
import { COMPRESSIONS, readMessage } from "./http-body.ts";
import type { Accept, CallHead, IngestRecord } from "./ingestor.ts";
import { readJsonMessage, readJsonRequest } from "./json-request.ts";

/** Room above the limit of a call for what is not a record. */
const SLACK_BYTES = 1024 ** 2;
/** JSON takes more room than what it encodes. */
const JSON_FACTOR = 2;
const MAX_BYTES = LIMITS.callBytes + SLACK_BYTES;
const MAX_JSON_BYTES = LIMITS.callBytes * JSON_FACTOR + SLACK_BYTES;
/** A question is small: an identifier or two, and a page token. */
const MAX_QUESTION_BYTES = 64 * 1024;
const INGEST = IngestionService.method.ingest;
const RPC = rpcMethod("connectrpc", INGEST);

/** Where the method is, as a path. */
export const INGEST_PATH = `/${IngestionService.typeName}/${INGEST.name}`;

/** The body of a call, to be read. */
interface Body {
  isJson: boolean;
  /** What it says of itself; undefined where it doesn't, or may become larger. */
  bytes: number | undefined;
  /** Reads the message. */
  read(maxBytes: number): Promise<Uint8Array>;
}

const NO_BODY: Body = {
  isJson: false,
  bytes: 0,
  read: () => Promise.reject(new Error("a call without a body")),
};
const BODY = createContextKey<Body>(NO_BODY);

/**
 * Answers calls of Ingest, and of the methods of `services`, by Connect, with plain JSON, and by gRPC-Web: one listener for
 * each path.
 *
 * The library negotiates, and forms answers and errors, but doesn't see the message: it gets an empty one, and the message is
 * read when the caller is known. So nothing is read for a stranger, what is read is bounded, and a bad record harms only itself.
 * The listeners throw where the request has no host.
 */
export function createConnectListener(
  accept: Accept,
  services: readonly DoorService[],
  log: Logger,
): ReadonlyMap<string, RequestListener> {
  keepByteOrderMarks();
  const router = createConnectRouter({ grpc: false, acceptCompression: COMPRESSIONS });
  router.rpc(INGEST, async (_, context) => ({ receipt: await ingest(accept, context) }));
  for (const { methods, answer } of services) {
    for (const method of methods) {
      const rpc = rpcMethod("connectrpc", method);
      router.rpc(method, async (_, { requestHeader, values }) => {
        const request = () => readMessageOf(method.input, values.get(BODY));
        const response = await answer({ ...callHead(requestHeader), rpc, method, request }).catch(raise);
        return fromBinary(method.output, response);
      });
    }
  }
  return new Map(router.handlers.map((handler) => [handler.requestPath, listen(handler, log)]));
}

function listen(handler: UniversalHandler, log: Logger): RequestListener {
  return (nodeRequest, response) => {
    const contentType = nodeRequest.headers["content-type"] ?? "";
    const isJson = /[/+]json\b/i.test(contentType);
    const isEnveloped = /^application\/grpc-web/i.test(contentType);
    const values = createContextValues().set(BODY, {
      isJson,
      bytes: sizeOf(nodeRequest.headers),
      read: (maxBytes) => readMessage(nodeRequest, isEnveloped, maxBytes),
    });
    const request = universalRequestFromNodeRequest(nodeRequest, response, undefined, values);
    request.header.delete("content-length");
    const body = emptyMessage(isJson, isEnveloped);
    handler({ ...request, body })
      .then((answer) => universalResponseToNodeResponse(answer, response))
      .catch((error: unknown) => log.debug({ err: error }, "a caller was gone before its answer"));
  };
}

/** An empty message, in the form in which the library expects the body. */
function emptyMessage(isJson: boolean, isEnveloped: boolean): AsyncIterable<Uint8Array> | JsonValue {
  if (isEnveloped) return createAsyncIterable([encodeEnvelope(0, Buffer.from(isJson ? "{}" : ""))]);
  return isJson ? {} : createAsyncIterable([new Uint8Array()]);
}

async function ingest(accept: Accept, { requestHeader, values }: HandlerContext): Promise<Receipt> {
  const body = values.get(BODY);
  const maxBytes = body.isJson ? MAX_JSON_BYTES : MAX_BYTES;
  const records = async (): Promise<readonly IngestRecord[]> => {
    const message = await body.read(maxBytes);
    return body.isJson ? readJsonRequest(message) : readBinaryRequest(message).records;
  };
  const arrivingBytes = Math.min(body.bytes ?? maxBytes, maxBytes);
  return toReceipt(
    await accept({ ...callHead(requestHeader), rpc: RPC, records, arrivingBytes }).catch(raise),
  );
}

/** Of a body that isn't compressed. */
function sizeOf(headers: IncomingHttpHeaders): number | undefined {
  const isCompressed = (headers["content-encoding"] ?? headers["grpc-encoding"] ?? "identity") !== "identity";
  const bytes = Number(headers["content-length"] ?? Number.NaN);
  return isCompressed || !Number.isSafeInteger(bytes) ? undefined : bytes;
}

async function readMessageOf(schema: DescMessage, { isJson, read }: Body): Promise<Message> {
  const message = await read(MAX_QUESTION_BYTES);
  return isJson ? readJsonMessage(schema, message) : readBinaryMessage(schema, message);
}

function callHead(headers: Headers): Omit<CallHead, "rpc"> {
  return {
    authorization: headers.get("authorization") ?? undefined,
    traceparent: headers.get("traceparent") ?? undefined,
    tracestate: headers.get("tracestate") ?? undefined,
  };
}

function raise(error: unknown): never {
  throw toConnectError(error);
}

function toConnectError(error: unknown): unknown {
  if (!(error instanceof CallError)) return error;
  const details = errorDetails(error).map(({ schema, value }) => ({ desc: schema, value }));
  // The codes of Connect are those of gRPC.
  return new ConnectError(error.message, error.code, undefined, details);
}
