import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import {
  ConfirmRequestSchema,
  ConfirmResponseSchema,
} from "@chowhound/shared/contracts/chowhound/internal/v1/commit_notice";
import type { Logger } from "@chowhound/shared/runtime/logger";
import type { NatsNames } from "@chowhound/shared/stream/topology";
import type { Msg, NatsConnection } from "@nats-io/transport-node";
import { Client } from "pg";

const QUEUE = "store";
const QUERY_TIMEOUT_MS = 2_000;

export interface ConfirmResponder {
  close(): Promise<void>;
}

/**
 * Answers dedup's question whether this is still the database that the notices spoke of. Every answer is read from the
 * database after its question came in; where it can't be read, there is no answer, and dedup drops nothing.
 */
export function startConfirmResponder(options: {
  nc: NatsConnection;
  names: NatsNames;
  databaseUrl: string;
  log: Logger;
}): ConfirmResponder {
  const { nc, names, databaseUrl, log } = options;
  let client: Promise<Client> | undefined;

  const connected = (): Promise<Client> => {
    client ??= openClient(databaseUrl, () => {
      client = undefined;
    }).catch((error: unknown) => {
      client = undefined;
      throw error;
    });
    return client;
  };

  const answer = async (message: Msg): Promise<void> => {
    const { batchIds } = fromBinary(ConfirmRequestSchema, message.data);
    const { rows } = await (await connected()).query<{ generation: string; booked: number }>({
      name: "confirm",
      text: `select database_generation() as generation,
        (select count(*)::integer from invoices where batch_id = any($1::uuid[])) as booked`,
      values: [batchIds.map((id) => Buffer.from(id).toString("hex"))],
    });
    const { generation, booked } = rows[0]!;
    const response = create(ConfirmResponseSchema, { generation, allBooked: booked === batchIds.length });
    message.respond(toBinary(ConfirmResponseSchema, response));
  };

  const subscription = nc.subscribe(names.confirm, {
    queue: QUEUE,
    callback: (error, message) => {
      if (error !== null) return;
      answer(message).catch((cause: Error) =>
        log.debug({ why: cause.message }, "no answer to a confirmation"),
      );
    },
  });
  return {
    close: async () => {
      subscription.unsubscribe();
      await (await client?.catch(() => undefined))?.end().catch(() => {});
    },
  };
}

async function openClient(url: string, onLost: () => void): Promise<Client> {
  const client = new Client({
    connectionString: url,
    application_name: "chowhound-store-confirm",
    connectionTimeoutMillis: QUERY_TIMEOUT_MS,
    query_timeout: QUERY_TIMEOUT_MS,
    statement_timeout: QUERY_TIMEOUT_MS,
  });
  client.on("error", onLost);
  client.on("end", onLost);
  await client.connect();
  return client;
}
