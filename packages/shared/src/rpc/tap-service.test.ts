import { setTimeout as sleep } from "node:timers/promises";
import type { MessageInitShape } from "@bufbuild/protobuf";
import {
  type TailRequestSchema,
  type TailResponse,
  TapService,
} from "@chowhound/shared/contracts/chowhound/v1/tap_service";
import { BadRequestSchema, ErrorInfoSchema } from "@chowhound/shared/contracts/google/rpc/error_details";
import { type Client, Code, ConnectError, createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { Server } from "@grpc/grpc-js";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { tapBatch } from "../tap/batch-source.ts";
import { MAX_READERS, Tap } from "../tap/tap.ts";
import { BUFFER_LIMITS } from "../tap/tap-reader.ts";
import { openPausedTail } from "../testing/paused-tail.ts";
import { type SampleRecord, sampleBatch } from "../testing/sample-batches.ts";
import { bind, closeServer } from "./admin-server.ts";
import { grpcServiceDefinition } from "./grpc-service.ts";
import { createTapService } from "./tap-service.ts";

let tap: Tap;
let server: Server;
let address: string;
let client: Client<typeof TapService>;

beforeEach(async () => {
  tap = new Tap();
  server = new Server();
  const { service, handlers } = createTapService(tap);
  server.addService(grpcServiceDefinition(service), handlers);
  address = `127.0.0.1:${await bind(server, "127.0.0.1", 0)}`;
  client = createClient(TapService, createGrpcTransport({ baseUrl: `http://${address}` }));
});
afterEach(() => closeServer(server, 100));

function show(...records: SampleRecord[]): void {
  tap.show(tapBatch(sampleBatch({ records }), { outcomeOf: () => "passed" }));
}

/** Opens a tap and waits until it shows what passes. */
async function tail(request: MessageInitShape<typeof TailRequestSchema> = {}) {
  const leaving = new AbortController();
  const { promise: isOpen, resolve: onHeader } = Promise.withResolvers<void>();
  const responses = client.tail(request, { signal: leaving.signal, onHeader: () => onHeader() });
  const next = responses[Symbol.asyncIterator]();
  const first = next.next();
  await Promise.race([isOpen, first]);
  let isFirst = true;
  const read = async (): Promise<TailResponse | undefined> => {
    const result = await (isFirst ? first : next.next());
    isFirst = false;
    return result.done ? undefined : result.value;
  };
  return { read, leave: () => leaving.abort() };
}

const refusal = (request: MessageInitShape<typeof TailRequestSchema>) =>
  tail(request)
    .then(({ read }) => read())
    .then(() => expect.fail("was not refused"), ConnectError.from);

test("gathers what passes into messages, in its order", async () => {
  const { read, leave } = await tail({ maxContentBytes: 100 });
  for (const data of ["a", "b", "c"]) show({ data });
  const { records, skipped } = (await read())!;
  expect(records.map(({ data }) => data)).toEqual(["a", "b", "c"]);
  expect(skipped).toBe(0n);
  leave();
});

test("says what it skipped, also where nothing was shown since", async () => {
  const { read, leave } = await tail({ maxRecordsPerSecond: 1 });
  show({}, {}, {});
  expect(await read()).toMatchObject({ records: [{ outcome: "passed" }], skipped: 2n });
  show({}, {});
  expect(await read()).toMatchObject({ records: [], skipped: 2n });
  leave();
});

test("is over when the caller leaves", async () => {
  const { leave } = await tail();
  expect(tap.isOpen).toBe(true);
  leave();
  await vi.waitFor(() => expect(tap.isOpen).toBe(false));
  show({});
});

test("is over when the caller's connection breaks", async () => {
  const reader = await openPausedTail(address);
  expect(tap.isOpen).toBe(true);
  reader.close();
  await vi.waitFor(() => expect(tap.isOpen).toBe(false));
});

test("ends without an error when the tap is closed, after what was waiting", async () => {
  const { read } = await tail();
  show({ dataId: "last" });
  tap.close();
  expect(await read()).toMatchObject({ records: [{ dataId: "last" }] });
  expect(await read()).toBeUndefined();
  expect((await refusal({})).code).toBe(Code.Unavailable);
});

test("refuses what it can't do, with the field", async () => {
  const error = await refusal({ sampleRatio: 2 });
  expect(error.code).toBe(Code.InvalidArgument);
  expect(error.findDetails(BadRequestSchema)).toMatchObject([
    { fieldViolations: [{ field: "sample_ratio" }] },
  ]);
  expect(tap.isOpen).toBe(false);
});

test("refuses one too many, until another has left", async () => {
  const open = await Promise.all(Array.from({ length: MAX_READERS }, () => tail()));
  const error = await refusal({});
  expect(error.code).toBe(Code.ResourceExhausted);
  expect(error.findDetails(ErrorInfoSchema)).toMatchObject([{ reason: "too_many_taps" }]);
  open.pop()!.leave();
  await vi.waitFor(async () => open.push(await tail()));
  for (const { leave } of open) leave();
});

test("holds no more than its bounds for a reader who doesn't read, and tells what that cost him", async () => {
  const reader = await openPausedTail(address, { maxRecordsPerSecond: 1_000, maxContentBytes: 4_096 });
  const record = { data: "x".repeat(4_096) };
  const untilMs = performance.now() + 2_500;
  let passed = 0;
  while (performance.now() < untilMs) {
    show(...Array.from({ length: 100 }, () => record));
    passed += 100;
    await sleep(20);
  }
  const tally = (responses: readonly TailResponse[]) => ({
    shown: responses.reduce((sum, { records }) => sum + records.length, 0),
    skipped: responses.reduce((sum, { skipped }) => sum + Number(skipped), 0),
  });
  const all = await reader.readUntil((responses) => {
    const { shown, skipped } = tally(responses);
    return shown + skipped === passed;
  });
  const { shown, skipped } = tally(all);
  expect(shown + skipped).toBe(passed);
  // One message was on its way and one was waiting.
  expect(shown).toBeLessThanOrEqual((2 * BUFFER_LIMITS.bytes) / 4_096 + 2);
  reader.close();
}, 15_000);
