import { Agent, request } from "node:http";
import { fromBinary, toJsonString } from "@bufbuild/protobuf";
import {
  IngestionService,
  IngestRequestSchema,
} from "@chowhound/shared/contracts/chowhound/v1/ingestion_service";
import { CallFailedError, type Ingest, type Producer, sendThrough } from "./producer.ts";

const path = `/${IngestionService.typeName}/${IngestionService.method.ingest.name}`;
const TRANSIENT = new Set([429, 503]);

/** An encoded IngestRequest as the JSON that says the same. */
export function toJsonRequest(encoded: Uint8Array): Buffer {
  return Buffer.from(toJsonString(IngestRequestSchema, fromBinary(IngestRequestSchema, encoded)));
}

/** A producer that posts JSON, as curl or a script would, on connections that it keeps. Its requests are JSON too. */
export function openJsonProducer(options: { http: string; key: string; callsInFlight: number }): Producer {
  const agent = new Agent({ keepAlive: true, maxSockets: options.callsInFlight });
  const url = new URL(path, options.http);
  const headers = { "content-type": "application/json", authorization: `Bearer ${options.key}` };
  const ingest: Ingest = (body) =>
    new Promise((resolve, reject) => {
      const call = request(url, {
        agent,
        method: "POST",
        headers: { ...headers, "content-length": body.length },
      });
      call.on("error", reject);
      call.on("response", (response) => {
        const chunks: Buffer[] = [];
        response.on("data", (chunk: Buffer) => chunks.push(chunk));
        response.on("error", reject);
        response.on("end", () => {
          const { statusCode = 0 } = response;
          if (statusCode === 200) resolve(readJsonReceipt(Buffer.concat(chunks).toString("latin1")));
          else reject(new CallFailedError(`a call ended with ${statusCode}`, TRANSIENT.has(statusCode)));
        });
      });
      call.end(body);
    });
  const lanes = Array.from({ length: options.callsInFlight }, () => ingest);
  return {
    send: (requests, signal) => sendThrough(lanes, requests, signal),
    close: () => agent.destroy(),
  };
}

/** The counts stand before the statuses, which nothing has to parse. */
function readJsonReceipt(json: string): { accepted: number; rejected: number; receiptId: string } {
  const number = (name: string): number => Number(new RegExp(`"${name}":\\s*(\\d+)`).exec(json)?.[1] ?? 0);
  const receiptId = /"receiptId":\s*"([^"]+)"/.exec(json)?.[1] ?? "";
  return { accepted: number("accepted"), rejected: number("rejected"), receiptId };
}
