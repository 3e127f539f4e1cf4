import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { gzipSync } from "node:zlib";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import type { IngestionData } from "@chowhound/shared/contracts/chowhound/v1/ingestion_data";
import {
  IngestStreamRequestSchema,
  type IngestStreamResponse,
  IngestStreamResponseSchema,
  RecordOutcome,
} from "@chowhound/shared/contracts/chowhound/v1/ingestion_service";
import { Code, ConnectError } from "@connectrpc/connect";
import { afterEach, beforeEach, expect, test } from "vitest";
import { openLineFile } from "./line-file.ts";
import { openPushState } from "./push-state.ts";
import { type PushOptions, runPush } from "./run-push.ts";
import { Tally } from "./tally.ts";

const COUNT = 1_700;
const never = new AbortController().signal;

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "chow-push-"));
});
afterEach(() => rm(directory, { recursive: true }));

/** A gateway that refuses every 97th record and, where asked to, breaks off for good after so many answers. */
function createGateway() {
  const landed = new Set<string>();
  let receipts = 0;
  const status = ({ dataId }: IngestionData) => {
    const isRefused = Number(dataId) % 97 === 0;
    if (!isRefused) landed.add(dataId);
    return isRefused
      ? { outcome: RecordOutcome.REJECTED, reason: "field_too_long", field: "data_id" }
      : { outcome: RecordOutcome.ACCEPTED };
  };
  const open = (answers: number): NonNullable<PushOptions["open"]> =>
    async function* (requests): AsyncGenerator<IngestStreamResponse> {
      let left = answers;
      for await (const request of requests) {
        if (left-- === 0) throw new ConnectError("broken off", Code.FailedPrecondition);
        // As on the wire, where the records are fields like any other.
        const bytes = toBinary(IngestStreamRequestSchema, request);
        const statuses = fromBinary(IngestStreamRequestSchema, bytes).records.map(status);
        const rejected = statuses.filter(({ outcome }) => outcome === RecordOutcome.REJECTED).length;
        const receipt = {
          receiptId: `r${++receipts}`,
          statuses,
          accepted: statuses.length - rejected,
          rejected,
        };
        yield create(IngestStreamResponseSchema, { batchNumber: request.batchNumber, receipt });
      }
    };
  return { open, landed };
}

/** One run of a push that can be gone on with; `answers`: after so many it breaks off. */
async function push(files: readonly string[], open: PushOptions["open"]) {
  const [path, rejected] = ["state.json", "rejected.ndjson"].map((name) => join(directory, name)) as [
    string,
    string,
  ];
  const beforeSave = async (): Promise<void> => rejectedFile.flush();
  const state = await openPushState(files, { path, push: {}, beforeSave });
  const rejectedFile = await openLineFile(rejected, { append: state.from !== undefined });
  const tally = new Tally(state.counts);
  const ended = runPush({
    files,
    stdin: Readable.from([]),
    csv: {},
    defaults: { texts: { source_type: "note", source_id: "files" } },
    tally,
    open,
    maxRetryMs: 0,
    failFast: false,
    state,
    rejectedFiles: [rejectedFile],
    onInput: () => {},
    onRejected: () => {},
    onRetry: () => {},
    stop: never,
    giveUp: never,
  });
  const isComplete = await ended.catch((error: unknown) => {
    if (error instanceof ConnectError) return false;
    throw error;
  });
  await rejectedFile.close();
  const lines = (await readFile(rejected, "utf8")).trim().split("\n");
  const rejections = new Set(
    lines.map((line) => JSON.parse(line)).map(({ file, line }) => `${file}:${line}`),
  );
  return { isComplete, tally, rejections };
}

/** The numbers from `first` on; every 10th has no time, so that it is rejected before it is sent. */
const rows = (first: number, count = COUNT) =>
  Array.from({ length: count }, (_, i) => first + i).map((id) => ({
    data_id: `${id}`,
    data: `text "of" ${id},\nin two lines`,
    updated_at: id % 10 === 0 ? "" : "2026-01-01T00:00:00Z",
  }));
const ndjson = (first: number) =>
  rows(first)
    .map((row) => `${JSON.stringify(row)}\n`)
    .join("");
const csv = (first: number) =>
  [
    "data_id,data,updated_at",
    ...rows(first).map((row) =>
      Object.values(row)
        .map((cell) => `"${cell.replaceAll('"', '""')}"`)
        .join(","),
    ),
  ].join("\r\n");
const array = (first: number) => JSON.stringify(rows(first), null, 1);

test.each<[string, Record<string, string | Buffer>]>([
  ["NDJSON", { "a.ndjson": ndjson(1) }],
  ["CSV", { "a.csv": csv(1) }],
  ["a JSON array", { "a.json": array(1) }],
  ["NDJSON in gzip", { "a.ndjson.gz": gzipSync(ndjson(1)) }],
  ["CSV in gzip", { "a.csv.gz": gzipSync(csv(1)) }],
  ["two files of different formats", { "a.csv": csv(1), "b.json.gz": gzipSync(array(1 + COUNT)) }],
])("goes on in %s wherever it was interrupted, with the counts of before", async (_, contents) => {
  const files = Object.keys(contents).map((name) => join(directory, name));
  for (const [name, content] of Object.entries(contents)) await writeFile(join(directory, name), content);
  const total = COUNT * files.length;
  const ids = Array.from({ length: total }, (_, i) => i + 1);
  const untimed = ids.filter((id) => id % 10 === 0);
  const refused = ids.filter((id) => id % 10 !== 0 && id % 97 === 0);

  const { open, landed } = createGateway();
  let runs = 0;
  let last: Awaited<ReturnType<typeof push>>;
  let before = { accepted: 0, rejected: 0 };
  do {
    last = await push(files, open(1));
    expect(last.tally.earlier.accepted).toBe(before.accepted);
    // What was read ahead of the answers is found again.
    expect(last.tally.earlier.rejected).toBeLessThanOrEqual(before.rejected);
    before = { accepted: last.tally.accepted, rejected: last.tally.rejected };
  } while (!last.isComplete && ++runs < 20);

  // One answer a run.
  expect(runs).toBeGreaterThanOrEqual(3 * files.length);
  const { tally, rejections } = last;
  expect([tally.accepted, tally.rejected]).toEqual([landed.size, total - landed.size]);
  expect(Object.fromEntries(tally.byReason)).toEqual({
    missing_time: untimed.length,
    field_too_long: refused.length,
  });
  expect(landed.size).toBe(total - untimed.length - refused.length);
  expect(rejections.size).toBe(untimed.length + refused.length);
  expect(tally.firstReceiptId).toBe("r1");
});
