import { once } from "node:events";
import { request } from "node:http";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import {
  type Query,
  type QueryAnswer,
  QueryAnswerSchema,
  QuerySchema,
} from "@chowhound/shared/contracts/chowhound/internal/v1/query";
import {
  GetRecordResponseSchema,
  QueryService,
} from "@chowhound/shared/contracts/chowhound/v1/query_service";
import { ErrorInfoSchema, RetryInfoSchema } from "@chowhound/shared/contracts/google/rpc/error_details";
import { natsNames } from "@chowhound/shared/stream/topology";
import { type Client, Code, ConnectError, createClient, type Transport } from "@connectrpc/connect";
import {
  createConnectTransport,
  createGrpcTransport,
  createGrpcWebTransport,
} from "@connectrpc/connect-node";
import { connect, type NatsConnection } from "@nats-io/transport-node";
import { afterAll, beforeAll, describe, expect, inject, it, onTestFinished, vi } from "vitest";
import { startTestGateway, type TestGateway } from "./test-gateway.ts";

const UUID = "1b4e28ba-2fa1-41d2-883f-0016d3cca427";
const BY_UUID = { by: { case: "uuid" as const, value: UUID } };

let test: TestGateway;
let nc: NatsConnection;
beforeAll(async () => {
  test = await startTestGateway(inject("natsUrl"));
  await test.started;
  nc = await connect({ servers: inject("natsUrl") });
});
afterAll(async () => {
  await nc.close();
  await test.stop();
});

const DOORS: [name: string, make: () => Transport][] = [
  ["gRPC", () => createGrpcTransport({ baseUrl: `http://${test.grpcAddress}` })],
  ["Connect", () => createConnectTransport({ baseUrl: test.httpUrl, httpVersion: "1.1" })],
  [
    "JSON",
    () => createConnectTransport({ baseUrl: test.httpUrl, httpVersion: "1.1", useBinaryFormat: false }),
  ],
  ["gRPC-Web", () => createGrpcWebTransport({ baseUrl: test.httpUrl, httpVersion: "1.1" })],
];

const as = (key: string) => ({ headers: { authorization: `Bearer ${key}` } });

/** What a failed call said. */
async function failure(call: Promise<unknown>) {
  const error = await call.then(
    () => {
      throw new Error("the call succeeded");
    },
    (cause: unknown) => ConnectError.from(cause),
  );
  return {
    code: error.code,
    message: error.rawMessage,
    reason: error.findDetails(ErrorInfoSchema)[0]?.reason,
    canRetry: error.findDetails(RetryInfoSchema).length > 0,
  };
}

/** Stands in for a store until the test is over: remembers what it is asked and answers as told, if at all. */
async function playStore(answer: (query: Query) => QueryAnswer["answer"] | undefined): Promise<Query[]> {
  const asked: Query[] = [];
  const subscription = nc.subscribe(natsNames(test.config.natsPrefix).query, {
    callback: (_, message) => {
      const query = fromBinary(QuerySchema, message.data);
      asked.push(query);
      const said = answer(query);
      if (said !== undefined)
        message.respond(toBinary(QueryAnswerSchema, create(QueryAnswerSchema, { answer: said })));
    },
  });
  onTestFinished(async () => {
    subscription.unsubscribe();
    await nc.flush();
  });
  await nc.flush();
  return asked;
}

function failing(reason: string, field = ""): QueryAnswer["answer"] {
  const message = "so it is";
  return {
    case: "failure",
    value: { $typeName: "chowhound.internal.v1.QueryFailure", reason, message, field },
  };
}

function found(data: string): QueryAnswer["answer"] {
  const response = create(GetRecordResponseSchema, { record: { record: { data } } });
  return { case: "response", value: toBinary(GetRecordResponseSchema, response) };
}

describe.each(DOORS)("QueryService over %s", (_, makeTransport) => {
  let client: Client<typeof QueryService>;
  beforeAll(() => {
    client = createClient(QueryService, makeTransport());
  });

  it("asks a store for the tenant of the key, and passes its answer on", async () => {
    const asked = await playStore(({ tenantId }) => found(`of ${tenantId}`));
    expect((await client.getRecord(BY_UUID, as(test.acmeKey))).record?.record?.data).toBe("of acme");
    expect((await client.getRecord(BY_UUID, as(test.umbrellaKey))).record?.record?.data).toBe("of umbrella");
    expect(asked).toMatchObject([
      { tenantId: "acme", question: { case: "getRecord", value: BY_UUID } },
      { tenantId: "umbrella", question: { case: "getRecord", value: BY_UUID } },
    ]);
  });

  it("refuses who has no key, and says no more than that", async () => {
    const asked = await playStore(() => found("secret"));
    const unauthenticated = { code: Code.Unauthenticated, reason: "unauthenticated", canRetry: false };
    expect(await failure(client.getRecord(BY_UUID))).toMatchObject(unauthenticated);
    expect(await failure(client.listRecords({ pageSize: 5000 }, as("chow_x")))).toMatchObject(
      unauthenticated,
    );
    expect(asked).toEqual([]);
  });

  it("refuses a bad request, naming the field", async () => {
    const asked = await playStore(() => found(""));
    expect(await failure(client.getRecord({}, as(test.acmeKey)))).toMatchObject({
      code: Code.InvalidArgument,
      reason: "invalid_query",
      message: expect.stringContaining("by names no record"),
      canRetry: false,
    });
    expect(await failure(client.listRecords({ pageSize: 1001 }, as(test.acmeKey)))).toMatchObject({
      reason: "invalid_query",
      message: expect.stringContaining("page_size is more than 1000"),
    });
    expect(asked).toEqual([]);
  });

  it("says so where there is no store", async () => {
    expect(await failure(client.getRecord(BY_UUID, as(test.acmeKey)))).toMatchObject({
      code: Code.Unavailable,
      reason: "store_unavailable",
      message: expect.stringContaining("no store is running"),
      canRetry: true,
    });
  });

  it.each([
    ["record_not_found", Code.NotFound, false],
    ["query_too_slow", Code.DeadlineExceeded, false],
    ["answer_too_large", Code.ResourceExhausted, false],
    ["too_many_queries", Code.ResourceExhausted, true],
    ["store_unavailable", Code.Unavailable, true],
    ["invented_tomorrow", Code.Internal, false],
  ])("passes a store's failure on: %s", async (reason, code, canRetry) => {
    await playStore(() => failing(reason));
    const expected = {
      code,
      canRetry,
      message: "so it is",
      reason: code === Code.Internal ? "internal" : reason,
    };
    expect(await failure(client.listRecords({}, as(test.acmeKey)))).toMatchObject(expected);
  });

  it("answers while the gateway is paused: reading takes nothing", async () => {
    await playStore(() => found("here"));
    test.gateway.pause();
    try {
      expect((await client.getRecord(BY_UUID, as(test.acmeKey))).record?.record?.data).toBe("here");
    } finally {
      test.gateway.resume();
    }
  });
});

describe("QueryService", () => {
  it("asks once more where no answer comes: the store that was asked may be gone without NATS knowing", async () => {
    let left = 1;
    const asked = await playStore(() => (left-- > 0 ? undefined : found("late")));
    const client = createClient(QueryService, DOORS[0]![1]());
    expect((await client.getRecord(BY_UUID, as(test.acmeKey))).record?.record?.data).toBe("late");
    expect(asked).toHaveLength(2);
    expect(asked[1]).toEqual(asked[0]);
  });

  it("takes no refusal of a later request for the answer to the first", async () => {
    const subscription = nc.subscribe(natsNames(test.config.natsPrefix).query, {
      callback: (_, message) => {
        asked++;
        const answer = asked === 1 ? found("slow") : failing("too_many_queries");
        const respond = (): void =>
          void message.respond(toBinary(QueryAnswerSchema, create(QueryAnswerSchema, { answer })));
        if (asked === 1) setTimeout(respond, 4_000);
        else respond();
      },
    });
    let asked = 0;
    onTestFinished(() => subscription.unsubscribe());
    await nc.flush();
    const client = createClient(QueryService, DOORS[0]![1]());
    expect((await client.getRecord(BY_UUID, as(test.acmeKey))).record?.record?.data).toBe("slow");
    expect(asked).toBe(2);
  });

  it("has a bound for each tenant, which the others don't feel", async () => {
    const client = createClient(QueryService, DOORS[0]![1]());
    const held: (() => void)[] = [];
    const subscription = nc.subscribe(natsNames(test.config.natsPrefix).query, {
      callback: (_, message) => {
        const { tenantId } = fromBinary(QuerySchema, message.data);
        const answer = (): void =>
          void message.respond(
            toBinary(QueryAnswerSchema, create(QueryAnswerSchema, { answer: found(tenantId) })),
          );
        if (tenantId === "acme") held.push(answer);
        else answer();
      },
    });
    await nc.flush();
    try {
      const calls = Array.from({ length: 8 }, () => client.getRecord(BY_UUID, as(test.acmeKey)));
      await vi.waitFor(() => expect(held).toHaveLength(8));
      expect(await failure(client.getRecord(BY_UUID, as(test.acmeKey)))).toMatchObject({
        code: Code.ResourceExhausted,
        reason: "too_many_queries",
        canRetry: true,
      });
      expect((await client.getRecord(BY_UUID, as(test.umbrellaKey))).record?.record?.data).toBe("umbrella");
      for (const answer of held.splice(0)) answer();
      await Promise.all(calls);
      const next = client.getRecord(BY_UUID, as(test.acmeKey));
      await vi.waitFor(() => expect(held).toHaveLength(1));
      held[0]!();
      await next;
    } finally {
      subscription.unsubscribe();
    }
  });

  it("waits for a store that doesn't answer, but not for ever", async () => {
    await playStore(() => undefined);
    const client = createClient(QueryService, DOORS[0]![1]());
    expect(await failure(client.getRecord(BY_UUID, as(test.acmeKey)))).toMatchObject({
      code: Code.Unavailable,
      message: expect.stringContaining("in time"),
      canRetry: true,
    });
  });
});

describe("the HTTP door", () => {
  const path = "/chowhound.v1.QueryService/ListRecords";
  const post = async (body: string, headers: Record<string, string> = {}) => {
    const response = await fetch(`${test.httpUrl}${path}`, {
      method: "POST",
      headers: { "content-type": "application/json", authorization: `Bearer ${test.acmeKey}`, ...headers },
      body,
    });
    return { status: response.status, body: await response.text() };
  };

  it.each([
    ["a field that is unknown: it would not narrow the answer", '{"sourceTyp": "host"}', "sourceTyp"],
    ["a field of another type", '{"pageSize": "many"}', "page_size"],
    ["what is no JSON", "{", "not JSON"],
    ["a body that is empty", "", "empty"],
  ])("refuses %s", async (_, body, message) => {
    const answer = await post(body);
    expect(answer.status).toBe(400);
    expect(JSON.parse(answer.body)).toMatchObject({
      code: "invalid_argument",
      message: expect.stringContaining(message),
      details: [{ debug: { reason: "malformed_request" } }],
    });
  });

  it("reads no more of a question than one may have", async () => {
    const answer = await post(`{}${" ".repeat(65 * 1024)}`);
    expect(JSON.parse(answer.body)).toMatchObject({ details: [{ debug: { reason: "call_too_large" } }] });
  });

  it("refuses a stranger before the body is read", async () => {
    const call = request(`${test.httpUrl}${path}`, {
      method: "POST",
      headers: { "content-type": "application/json", "content-length": 60_000 },
    });
    call.on("error", () => {}).flushHeaders();
    const [response] = await once(call, "response");
    expect(response.statusCode).toBe(401);
    call.destroy();
  });
});
