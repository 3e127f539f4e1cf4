import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import {
  type IngestStreamRequest,
  IngestStreamRequestSchema,
  type IngestStreamResponse,
  IngestStreamResponseSchema,
} from "@chowhound/shared/contracts/chowhound/v1/ingestion_service";
import { RetryInfoSchema } from "@chowhound/shared/contracts/google/rpc/error_details";
import { Code, ConnectError } from "@connectrpc/connect";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Batch } from "./batch.ts";
import { type SendOptions, sendBatches } from "./send-batches.ts";

const never = new AbortController().signal;
const origin = { input: 0, line: 1, endBytes: 1, raw: Buffer.alloc(0) };

async function* batches(count: number): AsyncGenerator<Batch, void> {
  for (let number = 1; number <= count; number++)
    yield { number, records: [{ bytes: new Uint8Array(), origin }] };
}

const answer = ({ batchNumber }: IngestStreamRequest): IngestStreamResponse =>
  create(IngestStreamResponseSchema, { batchNumber, receipt: { receiptId: `r${batchNumber}`, accepted: 1 } });

/** Runs a push against `open`; what it has heard. */
async function send(open: SendOptions["open"], count: number, more: Partial<SendOptions> = {}) {
  const answered: number[] = [];
  const waits: number[] = [];
  const isComplete = await sendBatches({
    batches: batches(count),
    open,
    onReceipt: async ({ number }) => void answered.push(number),
    onRetry: ({ waitMs }) => void waits.push(waitMs),
    maxRetryMs: 10_000,
    stop: never,
    giveUp: never,
    ...more,
  });
  return { answered, waits, isComplete };
}

const answerAll: SendOptions["open"] = async function* (requests) {
  for await (const request of requests) yield answer(request);
};

const upTo = (count: number) => Array.from({ length: count }, (_, i) => i + 1);

describe("sendBatches", () => {
  it("gets one receipt per batch, in order, wherever streams break, with no more than the window on the way", async () => {
    const streams = fc.array(fc.record({ answered: fc.nat(6), unanswered: fc.nat(2) }), { maxLength: 4 });
    await fc.assert(
      fc.asyncProperty(fc.nat(20), streams, async (count, streams) => {
        const left = [...streams];
        const onTheWay = new Set<number>();
        let most = 0;
        const open: SendOptions["open"] = async function* (requests) {
          const stream = left.shift();
          let taken = 0;
          for await (const request of requests) {
            onTheWay.add(Number(request.batchNumber));
            most = Math.max(most, onTheWay.size);
            taken++;
            if (stream !== undefined && taken > stream.answered + stream.unanswered) break;
            if (stream !== undefined && taken > stream.answered) continue;
            yield answer(request);
            onTheWay.delete(Number(request.batchNumber));
          }
          if (stream !== undefined) throw asked(1);
        };
        const { answered, isComplete } = await send(open, count, { windowBatches: 3 });
        expect(answered).toEqual(upTo(count));
        expect(isComplete).toBe(true);
        expect(most).toBeLessThanOrEqual(3);
      }),
      { numRuns: 50 },
    );
  });

  it("keeps nothing of a batch that is answered", async () => {
    setFlagsFromString("--expose-gc");
    const collect: () => void = runInNewContext("gc");
    const made: WeakRef<Batch>[] = [];
    async function* large(): AsyncGenerator<Batch, void> {
      for await (const batch of batches(200)) {
        made.push(new WeakRef(batch));
        yield batch;
      }
    }
    let left = 0;
    const onReceipt: SendOptions["onReceipt"] = async ({ number }) => {
      if (number < 200) return;
      await new Promise(setImmediate);
      collect();
      left = made.filter((batch) => batch.deref() !== undefined).length;
    };
    await send(answerAll, 0, { batches: large(), onReceipt, windowBatches: 2 });
    expect(left).toBeLessThan(10);
  });

  it("sends records as they are encoded", async () => {
    const sent: IngestStreamRequest[] = [];
    const bytes = Buffer.from([0x1a, 1, 0x61]);
    const one: Batch = { number: 1, records: [{ bytes, origin }] };
    await send(
      async function* (requests) {
        for await (const request of requests) {
          sent.push(request);
          yield answer(request);
        }
      },
      0,
      { batches: [one][Symbol.iterator]() as unknown as AsyncIterator<Batch, void> },
    );
    const read = fromBinary(IngestStreamRequestSchema, toBinary(IngestStreamRequestSchema, sent[0]!));
    expect(read).toMatchObject({ batchNumber: 1n, records: [{ sourceType: "a" }] });
  });

  it("waits as it is told, and gives up in the end", async () => {
    let calls = 0;
    const open: SendOptions["open"] = () => {
      calls++;
      return failing(asked(100));
    };
    const waits: number[] = [];
    const sent = send(open, 1, { maxRetryMs: 500, onRetry: ({ waitMs }) => void waits.push(waitMs) });
    await expect(sent).rejects.toMatchObject({ code: Code.Unavailable });
    expect(calls).toBeGreaterThan(2);
    for (const waitMs of waits) {
      expect(waitMs).toBeGreaterThanOrEqual(100);
      expect(waitMs).toBeLessThanOrEqual(125);
    }
  });

  it.each([Code.Unauthenticated, Code.InvalidArgument, Code.Unimplemented])(
    "does not repeat what ended with %s",
    async (code) => {
      let calls = 0;
      const open: SendOptions["open"] = () => {
        calls++;
        return failing(new ConnectError("no", code));
      };
      await expect(send(open, 3)).rejects.toMatchObject({ code });
      expect(calls).toBe(1);
    },
  );

  it("opens a new stream when there is no answer", async () => {
    let calls = 0;
    const open: SendOptions["open"] = async function* (requests, signal) {
      const isDead = calls++ === 0;
      for await (const request of requests) {
        if (isDead)
          await new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
        yield answer(request);
      }
    };
    const { answered, waits } = await send(open, 3, { answerTimeoutMs: 100 });
    expect(answered).toEqual([1, 2, 3]);
    expect(waits).toHaveLength(1);
  });

  it("finishes what is in flight when it is told to stop, and says that it isn't the end", async () => {
    const stop = new AbortController();
    const seen: number[] = [];
    const open: SendOptions["open"] = async function* (requests) {
      for await (const request of requests) {
        seen.push(Number(request.batchNumber));
        if (seen.length === 4) stop.abort();
        yield answer(request);
      }
    };
    const { answered, isComplete } = await send(open, 100, { stop: stop.signal });
    expect(answered).toEqual(seen);
    expect(seen.length).toBeLessThan(100);
    expect(isComplete).toBe(false);
  });

  it("throws what its source throws, after the receipts of what came before", async () => {
    const answered: number[] = [];
    async function* broken(): AsyncGenerator<Batch, void> {
      yield* batches(2);
      throw new Error("unreadable");
    }
    const open: SendOptions["open"] = async function* (requests) {
      for await (const request of requests) yield answer(request);
    };
    const onReceipt: SendOptions["onReceipt"] = async ({ number }) => void answered.push(number);
    await expect(send(open, 0, { batches: broken(), onReceipt })).rejects.toThrow("unreadable");
    expect(answered).toEqual([1, 2]);
  });
});

function asked(retryMs: number): ConnectError {
  const retryDelay = { seconds: 0n, nanos: retryMs * 1_000_000 };
  return new ConnectError("later", Code.Unavailable, undefined, [
    { desc: RetryInfoSchema, value: { retryDelay } },
  ]);
}

function failing(error: Error): AsyncIterable<IngestStreamResponse> {
  return { [Symbol.asyncIterator]: () => ({ next: () => Promise.reject(error) }) };
}
