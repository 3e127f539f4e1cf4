import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import {
  BinaryIngestRequestSchema,
  JsonIngestRequestSchema,
} from "@chowhound/shared/contracts/chowhound/internal/v1/http_ingest";
import { IngestionService, type Receipt } from "@chowhound/shared/contracts/chowhound/v1/ingestion_service";
import { CallError } from "@chowhound/shared/errors/call-error";
import { LIMITS } from "@chowhound/shared/record/limits";
import { errorDetails } from "@chowhound/shared/rpc/error-details";
import type { Logger } from "@chowhound/shared/runtime/logger";
import { ConnectError, cors, type HandlerContext } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import type { Accept, IngestCall, Ingestor } from "./ingestor.ts";
import { JSON_RECURSION_LIMIT, recordFromJson } from "./json-record.ts";

export interface HttpIngestorOptions {
  host: string;
  port: number;
  /** Origins of web pages that may call; "*" for all. */
  corsOrigins: readonly string[];
  log: Logger;
}

type Listener = (request: IncomingMessage, response: ServerResponse) => void;

/** Room above the limit of a call, so that a call slightly too large is told the limit by us and not by the library. */
const SLACK_BYTES = 1024 ** 2;
/** JSON takes more room than what it encodes. */
const JSON_FACTOR = 2;
const STOP_MS = 5_000;
const INGEST = IngestionService.method.ingest;
const INGEST_PATH = `/${IngestionService.typeName}/${INGEST.name}`;

const HELP = {
  service: "Chowhound gateway",
  push: `POST ${INGEST_PATH} with {"records": [...]}, content-type: application/json and authorization: Bearer <key>`,
  protocols: "Connect, gRPC-Web and plain JSON here; gRPC, with streams, on the gRPC port",
};

/** The HTTP door: IngestionService.Ingest by Connect, gRPC-Web and plain JSON. */
export function createHttpIngestor(options: HttpIngestorOptions): Ingestor {
  let server: Server | undefined;
  return {
    name: "http",
    start: async (accept) => {
      server = createServer(withCors(options.corsOrigins, createListener(accept, options.log)));
      return { address: `${options.host}:${await listen(server, options.host, options.port)}` };
    },
    stop: async () => {
      if (server?.listening) await close(server);
    },
  };
}

function createListener(accept: Accept, log: Logger): Listener {
  const json = jsonAdapter(accept);
  const binary = binaryAdapter(accept);
  return (request, response) => {
    const path = request.url?.split("?", 1)[0];
    const contentType = request.headers["content-type"] ?? "";
    if (path !== INGEST_PATH) return help(response, path === "/" ? 200 : 404);
    if (!/^application\/(json|proto|connect\+|grpc-web)/.test(contentType)) return help(response, 415);
    try {
      (/[/+]json\b/.test(contentType) ? json : binary)(request, response);
    } catch (error) {
      log.warn({ why: (error as Error).message }, "an HTTP request could not be read");
      help(response, 400);
    }
  };
}

const ADAPTER_OPTIONS = { connect: true, grpcWeb: true, grpc: false } as const;

// The same method with another input: its records are read one by one, so that a bad one harms only itself.

function binaryAdapter(accept: Accept): Listener {
  return connectNodeAdapter({
    ...ADAPTER_OPTIONS,
    readMaxBytes: LIMITS.callBytes + SLACK_BYTES,
    routes: (router) => {
      router.rpc({ ...INGEST, input: BinaryIngestRequestSchema }, ({ records }, context) =>
        answer(accept, context, records),
      );
    },
  });
}

function jsonAdapter(accept: Accept): Listener {
  return connectNodeAdapter({
    ...ADAPTER_OPTIONS,
    readMaxBytes: LIMITS.callBytes * JSON_FACTOR + SLACK_BYTES,
    jsonOptions: { recursionLimit: JSON_RECURSION_LIMIT },
    routes: (router) => {
      router.rpc({ ...INGEST, input: JsonIngestRequestSchema }, ({ records }, context) =>
        answer(accept, context, records.map(recordFromJson)),
      );
    },
  });
}

async function answer(
  accept: Accept,
  { requestHeader }: HandlerContext,
  records: IngestCall["records"],
): Promise<{ receipt: Receipt }> {
  try {
    const receipt = await accept({
      authorization: requestHeader.get("authorization") ?? undefined,
      traceparent: requestHeader.get("traceparent") ?? undefined,
      tracestate: requestHeader.get("tracestate") ?? undefined,
      records,
    });
    return { receipt };
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

const ALLOWED_HEADERS = [...cors.allowedHeaders, "Authorization", "traceparent", "tracestate"].join(", ");

function withCors(origins: readonly string[], listener: Listener): Listener {
  const isForAll = origins.includes("*");
  return (request, response) => {
    const { origin } = request.headers;
    if (!isForAll) response.setHeader("Vary", "Origin");
    if (origin !== undefined && (isForAll || origins.includes(origin))) {
      response.setHeader("Access-Control-Allow-Origin", isForAll ? "*" : origin);
      response.setHeader("Access-Control-Expose-Headers", cors.exposedHeaders.join(", "));
    }
    if (request.method !== "OPTIONS") return listener(request, response);
    response.writeHead(204, {
      "Access-Control-Allow-Methods": cors.allowedMethods.join(", "),
      "Access-Control-Allow-Headers": ALLOWED_HEADERS,
      "Access-Control-Max-Age": "7200",
    });
    response.end();
  };
}

function help(response: ServerResponse, status: number): void {
  response.writeHead(status, { "Content-Type": "application/json" });
  response.end(`${JSON.stringify(HELP, null, 2)}\n`);
}

function listen(server: Server, host: string, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once("error", (error) =>
      reject(new Error(`cannot listen on ${host}:${port}: ${error.message}`, { cause: error })),
    );
    server.listen(port, host, () => resolve((server.address() as AddressInfo).port));
  });
}

/** Lets calls finish until the deadline, then cuts them. */
function close(server: Server): Promise<void> {
  return new Promise((resolve) => {
    const deadline = setTimeout(() => server.closeAllConnections(), STOP_MS);
    server.close(() => {
      clearTimeout(deadline);
      resolve();
    });
    server.closeIdleConnections();
  });
}
