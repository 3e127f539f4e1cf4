import { createServer, type RequestListener, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { Logger } from "@chowhound/shared/runtime/logger";
import { cors } from "@connectrpc/connect";
import { createConnectListener, INGEST_PATH } from "./connect-listener.ts";
import type { DoorService } from "./door-service.ts";
import type { Accept, Ingestor } from "./ingestor.ts";

export interface HttpIngestorOptions {
  host: string;
  port: number;
  /** Origins of web pages that may call; "*" for all. */
  corsOrigins: readonly string[];
  /** Served beside IngestionService. */
  services: readonly DoorService[];
  log: Logger;
}

const STOP_MS = 5_000;

const HELP = {
  service: "Chowhound gateway",
  push: `POST ${INGEST_PATH} with {"records": [...]}, content-type: application/json and authorization: Bearer <key>`,
  read: 'POST /chowhound.v1.QueryService/GetRecord with {"uuid": "…"}, or …/ListRecords with {}, and the same headers',
  protocols: "Connect, gRPC-Web and plain JSON here; gRPC, with streams, on the gRPC port",
};

/** The HTTP door: IngestionService.Ingest and further services by Connect, gRPC-Web and plain JSON. */
export function createHttpIngestor(options: HttpIngestorOptions): Ingestor {
  let server: Server | undefined;
  return {
    name: "http",
    start: async (accept) => {
      server = createServer(withCors(options.corsOrigins, createListener(accept, options)));
      return { address: `${options.host}:${await listen(server, options.host, options.port)}` };
    },
    stop: async () => {
      if (server?.listening) await close(server);
    },
  };
}

function createListener(accept: Accept, { services, log }: HttpIngestorOptions): RequestListener {
  const answers = createConnectListener(accept, services, log);
  return (request, response) => {
    const path = request.url?.split("?", 1)[0] ?? "";
    const answer = answers.get(path);
    const contentType = request.headers["content-type"] ?? "";
    if (answer === undefined) return help(response, path === "/" ? 200 : 404);
    if (!/^application\/(json|proto|connect\+|grpc-web)/i.test(contentType)) return help(response, 415);
    try {
      answer(request, response);
    } catch (error) {
      log.warn({ why: (error as Error).message }, "an HTTP request could not be read");
      help(response, 400);
    }
  };
}

const ALLOWED_HEADERS = [...cors.allowedHeaders, "Authorization", "traceparent", "tracestate"].join(", ");

function withCors(origins: readonly string[], listener: RequestListener): RequestListener {
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
