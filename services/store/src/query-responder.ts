import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import {
  type Query,
  type QueryAnswer,
  QueryAnswerSchema,
  QuerySchema,
} from "@chowhound/shared/contracts/chowhound/internal/v1/query";
import { CallError } from "@chowhound/shared/errors/call-error";
import type { Logger } from "@chowhound/shared/runtime/logger";
import { listen } from "@chowhound/shared/stream/listen";
import { maxMessageBytes, type NatsNames } from "@chowhound/shared/stream/topology";
import type { Msg, NatsConnection } from "@nats-io/transport-node";
import { locateRecords } from "./locate-records.ts";
import { QueryTurns } from "./query-turns.ts";
import type { RecordReader } from "./record-reader.ts";

/** Replicas of the store share the questions. */
const QUEUE = "store";
/** Clients take no more than 4 MiB by default. */
const MAX_ANSWER_BYTES = 2 * 1024 ** 2;
const ENVELOPE_BYTES = 16;
/** Together with how long a reader takes, less than the gateway waits for the answer. */
const MAX_WAIT_MS = 3_000;
const MAX_WAITING = 256;

export interface QueryResponder {
  /** Takes no more questions; resolves when those it took are answered. */
  stop(): Promise<void>;
}

/** Answers the gateways' questions, a few at a time, none of the tenants keeping the others waiting. */
export function answerQueries(
  nc: NatsConnection,
  names: NatsNames,
  reader: RecordReader,
  log: Logger,
): QueryResponder {
  const turns = new QueryTurns({
    atOnce: reader.lanes,
    atOnceOfTenant: Math.ceil(reader.lanes / 2),
    maxWaiting: MAX_WAITING,
    maxWaitMs: MAX_WAIT_MS,
  });
  const answering = new Set<Promise<void>>();

  const read = async ({ tenantId, question }: Query, maxBytes: number): Promise<Uint8Array> => {
    // Without a tenant there is nothing that the caller may see.
    if (tenantId === "") throw new Error("a question without a tenant");
    if (question.case === "getRecord") return await reader.getRecord(tenantId, question.value, maxBytes);
    if (question.case === "listRecords") return await reader.listRecords(tenantId, question.value, maxBytes);
    if (question.case === "locateRecords")
      return await locateRecords(tenantId, question.value, maxBytes, { nc, names, fates: reader.fates });
    throw new Error("a question that this store doesn't know");
  };

  const answer = async (message: Msg): Promise<void> => {
    const query = fromBinary(QuerySchema, message.data);
    const maxBytes = Math.min(maxMessageBytes(nc), MAX_ANSWER_BYTES) - ENVELOPE_BYTES;
    const response = await turns
      .run(query.tenantId, () => read(query, maxBytes))
      .then(
        (value): QueryAnswer["answer"] => ({ case: "response", value }),
        (error: unknown) => toFailure(error, log),
      );
    message.respond(toBinary(QueryAnswerSchema, create(QueryAnswerSchema, { answer: response })));
  };
  const listening = listen(nc, names.query, {
    queue: QUEUE,
    log,
    onMessage: (message) => {
      const answered = answer(message)
        .catch((cause: Error) => log.warn({ why: cause.message }, "no answer to a query"))
        .finally(() => answering.delete(answered));
      answering.add(answered);
    },
  });
  return {
    stop: async () => {
      await listening.stop();
      await Promise.all(answering);
    },
  };
}

function toFailure(error: unknown, log: Logger): QueryAnswer["answer"] {
  if (!(error instanceof CallError)) log.error({ err: error }, "a query failed unexpectedly");
  const { reason, message, violations } =
    error instanceof CallError ? error : new CallError("internal", "internal error; see the store's log");
  const field = violations[0]?.field ?? "";
  return {
    case: "failure",
    value: { $typeName: "chowhound.internal.v1.QueryFailure", reason, message, field },
  };
}
