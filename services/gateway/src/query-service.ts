import { create, fromBinary, isMessage, toBinary } from "@bufbuild/protobuf";
import {
  type Query,
  type QueryAnswer,
  QueryAnswerSchema,
  type QueryFailure,
  QuerySchema,
} from "@chowhound/shared/contracts/chowhound/internal/v1/query";
import {
  GetRecordRequestSchema,
  ListRecordsRequestSchema,
  LocateRecordsRequestSchema,
  QueryService,
} from "@chowhound/shared/contracts/chowhound/v1/query_service";
import { CallError } from "@chowhound/shared/errors/call-error";
import { CALL_ERRORS, type CallErrorReason } from "@chowhound/shared/errors/reasons";
import { errors, type NatsConnection } from "@nats-io/transport-node";
import type { DoorCall, DoorService } from "./door-service.ts";
import { InFlightBytes } from "./in-flight-bytes.ts";
import type { Serve } from "./serve-call.ts";
import { validateQuery } from "./validate-query.ts";

export interface QueryServiceDependencies {
  serve: Serve;
  /** Throws CallError while no queries are answered. */
  assertOpen(): void;
  /** Undefined while NATS is not there. */
  connection(): NatsConnection | undefined;
  /** The subject on which a store answers. */
  subject: string;
}

/** Queries that wait for their answers: of all tenants, of one. Each answer may be as large as a NATS message. */
const MAX_WAITING = 64;
const MAX_WAITING_OF_TENANT = 8;
/** Longer than a store lets a query wait, connect and run. */
const ANSWER_TIMEOUT_MS = 12_000;
/** A question without an answer is put once more, perhaps to another store: the first may be gone without NATS knowing yet. */
const ASK_AGAIN_MS = 2_500;
const MAX_ASKS = 3;
const RETRY_MS = 1_000;
/** Failures that may be over at the next try. */
const TRANSIENT = new Set<CallErrorReason>(["too_many_queries", "store_unavailable"]);

/** QueryService: finds out who asks, judges the question, and has a store answer it. */
export function createQueryService(dependencies: QueryServiceDependencies): DoorService {
  const waiting = new InFlightBytes(MAX_WAITING, MAX_WAITING_OF_TENANT);
  const answer = async (call: DoorCall, tenantId: string): Promise<Uint8Array> => {
    dependencies.assertOpen();
    const question = await readQuestion(call);
    validateQuery(question.value);
    if (!(await waiting.take(tenantId, 1)))
      throw new CallError(
        "too_many_queries",
        `more than ${MAX_WAITING_OF_TENANT} queries of the tenant, or ${MAX_WAITING} of all, are waiting for an answer; ask fewer at a time`,
        { retryDelayMs: RETRY_MS },
      );
    try {
      return readAnswer(await ask(create(QuerySchema, { tenantId, question }), dependencies));
    } finally {
      waiting.release(tenantId, 1);
    }
  };
  return {
    service: QueryService,
    methods: Object.values(QueryService.method),
    answer: (call) =>
      dependencies.serve(call, ({ tenantId, trace }) => {
        trace.span?.setAttributes({ "chowhound.tenant_id": tenantId });
        return answer(call, tenantId);
      }),
  };
}

async function readQuestion(call: DoorCall): Promise<Exclude<Query["question"], { case: undefined }>> {
  const request = await call.request();
  if (isMessage(request, GetRecordRequestSchema)) return { case: "getRecord", value: request };
  if (isMessage(request, ListRecordsRequestSchema)) return { case: "listRecords", value: request };
  if (isMessage(request, LocateRecordsRequestSchema)) return { case: "locateRecords", value: request };
  throw new Error(`${request.$typeName} is no question of QueryService`);
}

async function ask(query: Query, { connection, subject }: QueryServiceDependencies): Promise<QueryAnswer> {
  const nc = connection();
  if (nc === undefined)
    throw new CallError("not_ready", "the gateway is waiting for NATS; try again in a moment", {
      retryDelayMs: RETRY_MS,
    });
  const encoded = toBinary(QuerySchema, query);
  return await requestPersistently(nc, subject, encoded);
}

/**
 * The answer to a question that changes nothing: the first request's, or an earlier response to a later one. That those are refused,
 * as where too many are waiting, says nothing of the first. Rejects as the first request does.
 */
async function requestPersistently(
  nc: NatsConnection,
  subject: string,
  question: Uint8Array,
): Promise<QueryAnswer> {
  const deadlineMs = performance.now() + ANSWER_TIMEOUT_MS;
  const request = async (): Promise<QueryAnswer> => {
    const timeout = deadlineMs - performance.now();
    const { data } = await nc.request(subject, question, { timeout }).catch(throwUnanswered);
    return fromBinary(QueryAnswerSchema, data);
  };
  let again: NodeJS.Timeout | undefined;
  const laterResponse = new Promise<QueryAnswer>((resolve) => {
    let asks = 1;
    again = setInterval(() => {
      request().then(
        (said) => said.answer.case === "response" && resolve(said),
        () => {},
      );
      if (++asks === MAX_ASKS) clearInterval(again);
    }, ASK_AGAIN_MS);
  });
  try {
    return await Promise.race([request(), laterResponse]);
  } finally {
    clearInterval(again);
  }
}

function throwUnanswered(cause: unknown): never {
  const why = isNoResponders(cause) ? "no store is running" : "the store did not answer in time";
  throw new CallError("store_unavailable", `${why}; try again later`, { retryDelayMs: RETRY_MS, cause });
}

function isNoResponders(error: unknown): boolean {
  return (
    error instanceof errors.NoRespondersError ||
    (error instanceof errors.RequestError && error.isNoResponders())
  );
}

function readAnswer({ answer }: QueryAnswer): Uint8Array {
  if (answer.case === "response") return answer.value;
  if (answer.case === "failure") throw toCallError(answer.value);
  throw new Error("the store's answer is none that this gateway knows");
}

function toCallError({ reason, message, field }: QueryFailure): CallError {
  if (!isKnown(reason)) return new CallError("internal", message);
  return new CallError(reason, message, {
    ...(field !== "" && { field }),
    ...(TRANSIENT.has(reason) && { retryDelayMs: RETRY_MS }),
  });
}

function isKnown(reason: string): reason is CallErrorReason {
  return Object.hasOwn(CALL_ERRORS, reason);
}
