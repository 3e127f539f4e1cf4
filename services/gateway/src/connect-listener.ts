import type { IncomingMessage, RequestListener } from "node:http";
import type { JsonValue } from "@bufbuild/protobuf";
import { IngestionService, type Receipt } from "@chowhound/shared/contracts/chowhound/v1/ingestion_service";
import { CallError } from "@chowhound/shared/errors/call-error";
import { LIMITS } from "@chowhound/shared/record/limits";
import { errorDetails } from "@chowhound/shared/rpc/error-details";
import type { Logger } from "@chowhound/shared/runtime/logger";
import { rpcMethod } from "@chowhound/shared/telemetry/server-span";
import {
  ConnectError,
  createConnectRouter,
  createContextKey,
  createContextValues,
  type HandlerContext,
} from "@connectrpc/connect";
import { createAsyncIterable, encodeEnvelope } from "@connectrpc/connect/protocol";
import { universalRequestFromNodeRequest, universalResponseToNodeResponse } from "@connectrpc/connect-node";
import { readBinaryRequest } from "./binary-request.ts";
import { COMPRESSIONS, readMessage } from "./http-body.ts";
import type { Accept, IngestCall, IngestRecord } from "./ingestor.ts";
import { readJsonRequest } from "./json-request.ts";

/** Room above the limit of a call for what is not a record. */
const SLACK_BYTES = 1024 ** 2;
/** JSON takes more room than what it encodes. */
const JSON_FACTOR = 2;
const MAX_BYTES = LIMITS.callBytes + SLACK_BYTES;
const MAX_JSON_BYTES = LIMITS.callBytes * JSON_FACTOR + SLACK_BYTES;
const INGEST = IngestionService.method.ingest;
const RPC = rpcMethod("connectrpc", INGEST);

/** Where the method is, as a path. */
export const INGEST_PATH = `/${IngestionService.typeName}/${INGEST.name}`;

const RECORDS = createContextKey<IngestCall["records"]>(() => []);

/**
 * Answers calls of Ingest by Connect, with plain JSON, and by gRPC-Web.
 *
 * The library negotiates, and forms answers and errors, but doesn't see the message: it gets an empty one, and the records are
 * read by `accept`. So nothing is read for a stranger, what is read is bounded, and a bad record harms only itself.
 * Throws where the request has no host.
 */
export function createConnectListener(accept: Accept, log: Logger): RequestListener {
  const [handler] = createConnectRouter({ grpc: false, acceptCompression: COMPRESSIONS }).rpc(
    INGEST,
    async (_, context) => ({ receipt: await ingest(accept, context) }),
  ).handlers;
  return (nodeRequest, response) => {
    const contentType = nodeRequest.headers["content-type"] ?? "";
    const isJson = /[/+]json\b/i.test(contentType);
    const isEnveloped = /^application\/grpc-web/i.test(contentType);
    const values = createContextValues().set(RECORDS, () => readRecords(nodeRequest, isJson, isEnveloped));
    const request = universalRequestFromNodeRequest(nodeRequest, response, undefined, values);
    request.header.delete("content-length");
    const body = emptyMessage(isJson, isEnveloped);
    handler!({ ...request, body })
      .then((answer) => universalResponseToNodeResponse(answer, response))
      .catch((error: unknown) => log.debug({ err: error }, "a caller was gone before its answer"));
  };
}

async function readRecords(
  request: IncomingMessage,
  isJson: boolean,
  isEnveloped: boolean,
): Promise<readonly IngestRecord[]> {
  const message = await readMessage(request, isEnveloped, isJson ? MAX_JSON_BYTES : MAX_BYTES);
  return isJson ? readJsonRequest(message) : readBinaryRequest(message).records;
}

/** An IngestRequest without records, in the form in which the library expects the body. */
function emptyMessage(isJson: boolean, isEnveloped: boolean): AsyncIterable<Uint8Array> | JsonValue {
  if (isEnveloped) return createAsyncIterable([encodeEnvelope(0, Buffer.from(isJson ? "{}" : ""))]);
  return isJson ? {} : createAsyncIterable([new Uint8Array()]);
}

async function ingest(accept: Accept, { requestHeader, values }: HandlerContext): Promise<Receipt> {
  try {
    return await accept({
      authorization: requestHeader.get("authorization") ?? undefined,
      traceparent: requestHeader.get("traceparent") ?? undefined,
      tracestate: requestHeader.get("tracestate") ?? undefined,
      rpc: RPC,
      records: values.get(RECORDS),
    });
  } catch (error) {
    throw toConnectError(error);
  }
}

function toConnectError(error: unknown): unknown {
  if (!(error instanceof CallError)) return error;
  const details = errorDetails(error).map(({ schema, value }) => ({ desc: schema, value }));
  // The codes of Connect are those of gRPC.
  return new ConnectError(error.message, error.code, undefined, details);
}
