import type { Readable } from "node:stream";
import {
  type IngestStreamRequest,
  type IngestStreamResponse,
  type Receipt,
  RecordOutcome,
} from "@chowhound/shared/contracts/chowhound/v1/ingestion_service";
import type { Batch, Origin, OutgoingRecord } from "./batch.ts";
import { collectBatches } from "./collect-batches.ts";
import type { CsvOptions } from "./csv-record.ts";
import { encodeRecord, type RecordDefaults } from "./encode-record.ts";
import { createSplitter, type Format, type Input, openInput } from "./input.ts";
import type { LineFile } from "./line-file.ts";
import type { PushState } from "./push-state.ts";
import { type Retry, sendBatches } from "./send-batches.ts";
import { SettledCounts } from "./settled-counts.ts";
import type { Rejection, SourceRecord } from "./source-record.ts";
import type { Tally } from "./tally.ts";

export interface PushOptions {
  /** Paths; "-" is standard input. */
  files: readonly string[];
  stdin: Readable;
  format?: Format | undefined;
  csv: Partial<CsvOptions>;
  defaults: RecordDefaults;
  tally: Tally;
  /** Opens an IngestStream call; undefined: nothing is sent. */
  open?:
    | ((
        requests: AsyncIterable<IngestStreamRequest>,
        signal: AbortSignal,
      ) => AsyncIterable<IngestStreamResponse>)
    | undefined;
  maxRetryMs: number;
  failFast: boolean;
  state?: PushState | undefined;
  /** Where rejected records go, with what they said. */
  rejectedFiles: readonly LineFile[];
  receiptsFile?: LineFile | undefined;
  /** Told before a file is read. */
  onInput(input: Input): void;
  onRejected(file: string, line: number, rejection: Rejection): void;
  onRetry(retry: Retry): void;
  /** Aborted: reads no more, finishes what is in flight. */
  stop: AbortSignal;
  /** Aborted: gives up what is in flight. */
  giveUp: AbortSignal;
}

/**
 * Reads the files and pushes their records. Resolves when each has been answered, or those that were in flight when `stop` was
 * aborted or, with `failFast`, a record was rejected. Returns whether the end of the last file was reached.
 *
 * @throws {UsageError} where a file can't be read @throws {ConnectError} where the mesh can't be reached for too long
 */
export async function runPush(options: PushOptions): Promise<boolean> {
  const { files, tally, state, rejectedFiles, receiptsFile, open } = options;
  const failed = new AbortController();
  const stop = AbortSignal.any([options.stop, failed.signal]);
  const settled = new SettledCounts(state?.counts);
  let isAllRead = false;
  let isComplete = false;

  const reject = (origin: Origin, rejection: Rejection): void => {
    tally.reject(rejection.reason);
    const { reason, field, message } = rejection;
    const file = files[origin.input]!;
    const rejected = { file, line: origin.line, reason, field, message, text: origin.raw.toString() };
    for (const rejectedFile of rejectedFiles) rejectedFile.write(rejected);
    options.onRejected(file, origin.line, rejection);
    if (options.failFast) failed.abort();
  };

  const flushRejected = async (): Promise<void> => {
    for (const rejectedFile of rejectedFiles) await rejectedFile.flush();
  };

  const encode = (source: SourceRecord, input: number): OutgoingRecord | undefined => {
    const { line, endBytes, raw } = source;
    const origin = { input, line, endBytes, raw };
    const encoded = "json" in source ? encodeRecord(source.json, options.defaults) : source.rejection;
    if (encoded instanceof Uint8Array) {
      settled.sent();
      return { bytes: encoded, origin };
    }
    settled.rejected({ input, endBytes }, encoded.reason);
    reject(origin, encoded);
    return undefined;
  };

  async function* records(): AsyncGenerator<OutgoingRecord[], void> {
    for (const [index, name] of files.entries()) {
      const from = state?.from;
      if (from !== undefined && index < from.input) continue;
      const skipBytes = from?.input === index ? from.endBytes : 0;
      const input = await openInput(name, { stdin: options.stdin, format: options.format });
      options.onInput(input);
      const splitter = createSplitter(input, options.csv);
      const encodeAll = (found: readonly SourceRecord[]): OutgoingRecord[] => {
        const encoded: OutgoingRecord[] = [];
        for (const source of found) {
          if (stop.aborted) break;
          const record = source.endBytes > skipBytes ? encode(source, index) : undefined;
          if (record !== undefined) encoded.push(record);
        }
        return encoded;
      };
      try {
        for await (const chunk of input.bytes) {
          yield encodeAll(splitter.push(chunk));
          await flushRejected();
          if (stop.aborted) return;
        }
      } finally {
        input.close();
      }
      yield encodeAll(splitter.end());
      if (stop.aborted) return;
    }
    isAllRead = true;
  }

  const onReceipt = async ({ records }: Batch, receipt: Receipt): Promise<void> => {
    tally.receive(receipt);
    const { receiptId, accepted, rejected, statuses } = receipt;
    const rejectedReasons: string[] = [];
    for (const [i, { outcome, reason, field, message }] of statuses.entries()) {
      if (outcome !== RecordOutcome.REJECTED) continue;
      rejectedReasons.push(reason);
      reject(records[i]!.origin, { reason: reason as Rejection["reason"], field, message });
    }
    const [first, last] = [records[0]!.origin, records.at(-1)!.origin];
    receiptsFile?.write({
      receiptId,
      file: files[first.input]!,
      firstLine: first.line,
      lastLine: last.line,
      accepted,
      rejected,
    });
    const position = { input: last.input, endBytes: last.endBytes };
    settled.settle(position, { receiptId, accepted, rejectedReasons });
    await state?.advance(position, settled.counts);
    await flushRejected();
    await receiptsFile?.flush();
  };

  const batches = collectBatches(records());
  try {
    const isExhausted =
      open === undefined
        ? await countBatches(batches, tally)
        : await sendBatches({ ...options, open, batches, onReceipt, stop });
    isComplete = isAllRead && isExhausted;
    if (isComplete) await state?.remove();
    return isComplete;
  } finally {
    if (!isComplete) await state?.save();
    await flushRejected();
    await receiptsFile?.flush();
  }
}

async function countBatches(batches: AsyncIterable<Batch>, tally: Tally): Promise<true> {
  for await (const { records } of batches) tally.accepted += records.length;
  return true;
}
