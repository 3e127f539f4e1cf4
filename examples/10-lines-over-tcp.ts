/**
 * A source in one file: a door that takes records as lines of JSON over a plain TCP connection. The first line of a
 * connection is the key; each further line is one record in the JSON form of IngestionData, answered by one line.
 *
 *   CHOWHOUND_KEYS_FILE=.chowhound/keys.json CHOWHOUND_NATS_URL=nats://127.0.0.1:24692 \
 *     npx node examples/10-lines-over-tcp.ts 7070          beside a mesh of `npm start`, as a second gateway
 *   printf '%s\n' "$KEY" '{"sourceType":"log","sourceId":"tcp","dataId":"1","data":"hi","updatedAt":"2026-01-01T00:00:00Z"}' \
 *     | nc 127.0.0.1 7070
 *
 * It opens the usual doors too (50051 and 8080). docs/writing-a-source.md explains what a source owes.
 */
import { once } from "node:events";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { createInterface } from "node:readline";
import { fromJsonString, toBinary } from "@bufbuild/protobuf";
import { IngestionDataSchema } from "@chowhound/shared/contracts/chowhound/v1/ingestion_data";
import { formatUuid } from "@chowhound/shared/record/uuid";
import { reject } from "@chowhound/shared/record/validate-record";
import { runService } from "@chowhound/shared/service/run-service";
import { settings } from "../services/gateway/src/config.ts";
import type { Accept, Ingestor } from "../services/gateway/src/ingestor.ts";
import { createGateway } from "../services/gateway/src/service.ts";

export class LinesOverTcp implements Ingestor {
  readonly name = "lines";
  readonly #port: number;
  readonly #server: Server;
  readonly #connections = new Set<Socket>();
  #accept: Accept | undefined;

  constructor(port: number) {
    this.#port = port;
    this.#server = createServer((socket) => void this.#serve(socket));
  }

  async start(accept: Accept): Promise<{ address: string }> {
    this.#accept = accept;
    this.#server.listen(this.#port, "127.0.0.1");
    await once(this.#server, "listening");
    return { address: `127.0.0.1:${(this.#server.address() as AddressInfo).port}` };
  }

  async stop(): Promise<void> {
    this.#server.close();
    for (const socket of this.#connections) socket.end();
  }

  async #serve(socket: Socket): Promise<void> {
    this.#connections.add(socket);
    socket.on("error", () => {}).on("close", () => this.#connections.delete(socket));
    let authorization: string | undefined;
    for await (const line of createInterface({ input: socket })) {
      if (authorization === undefined) authorization = `Bearer ${line}`;
      // The next line is read when this one is answered: a producer can't run ahead of the mesh.
      else socket.write(`${await this.#push(authorization, line)}\n`);
    }
    socket.end();
  }

  async #push(authorization: string, line: string): Promise<string> {
    try {
      const { records } = await this.#accept!({ authorization, records: () => [toRecord(line)] });
      const record = records[0]!;
      return record.kind === "accepted"
        ? `accepted ${formatUuid(record.uuid)}`
        : `rejected ${record.reason}: ${record.message}`;
    } catch (error) {
      // Accept rejects with CallError only: a documented reason, and a message for the producer.
      return `refused: ${(error as Error).message}`;
    }
  }
}

/** The record's bytes; or, where the line is no record, the reason for which it is rejected. */
function toRecord(line: string): Uint8Array | ReturnType<typeof reject> {
  try {
    return toBinary(IngestionDataSchema, fromJsonString(IngestionDataSchema, line));
  } catch (error) {
    return reject("malformed_record", "", `not a record in JSON: ${(error as Error).message}`);
  }
}

if (import.meta.main) {
  const [port = "7070"] = process.argv.slice(2);
  await runService({
    name: "gateway",
    settings,
    create: (config, runtime) => createGateway(config, runtime, [new LinesOverTcp(Number(port))]),
  });
}
