import { create, fromBinary } from "@bufbuild/protobuf";
import {
  type CommitNotice,
  CommitNoticeSchema,
} from "@chowhound/shared/contracts/chowhound/internal/v1/commit_notice";
import {
  PipelinesStateSchema,
  type RecordBatch,
} from "@chowhound/shared/contracts/chowhound/internal/v1/record_batch";
import { natsNames } from "@chowhound/shared/stream/topology";
import { sampleBatch } from "@chowhound/shared/testing/sample-batches";
import type { NatsConnection } from "@nats-io/transport-node";
import { expect, test } from "vitest";
import { sendCommitNotice } from "./commit-notices.ts";
import type { BatchOutcome } from "./ingestion-writer.ts";
import { noVerdicts } from "./verdict.ts";

const pipelinesState = create(PipelinesStateSchema, { epoch: 7n, revision: 3n });
const batch: RecordBatch = { ...sampleBatch({ records: [{}, {}] }), pipelinesState };
const { batchId, fingerprints } = batch;

function booked(outcome: Partial<BatchOutcome>): BatchOutcome {
  const kind = "booked" as const;
  return {
    kind,
    batchId,
    verdicts: noVerdicts(),
    committedFingerprints: fingerprints,
    ...outcome,
  } as BatchOutcome;
}

/** The notice of one commit of these outcomes; undefined where there is none. */
function noticeOf(...outcomes: [BatchOutcome, RecordBatch][]): CommitNotice | undefined {
  const [notice, ...others] = noticesOf(...outcomes);
  expect(others).toEqual([]);
  return notice;
}

function noticesOf(...outcomes: [BatchOutcome, RecordBatch][]): CommitNotice[] {
  const sent: Uint8Array[] = [];
  const nc = { isClosed: () => false, publish: (_: string, bytes: Uint8Array) => sent.push(bytes) };
  const result = { generation: "g1", outcomes: outcomes.map(([outcome]) => outcome) };
  const batches = outcomes.map(([, of]) => of);
  sendCommitNotice(nc as unknown as NatsConnection, natsNames("test"), result, batches);
  return sent.map((bytes) => fromBinary(CommitNoticeSchema, bytes));
}

test("tells of each batch its fingerprints, which records they are, and which pipelines processed them", () => {
  const notice = noticeOf(
    [booked({ committedOrdinals: [] }), batch],
    [booked({ committedFingerprints: fingerprints.subarray(16), committedOrdinals: [1] }), batch],
  );
  expect(notice).toMatchObject({
    generation: "g1",
    batches: [
      { fingerprints: new Uint8Array(fingerprints), ordinals: [], pipelinesState },
      { fingerprints: new Uint8Array(fingerprints.subarray(16)), ordinals: [1], pipelinesState },
    ],
  });
});

test("names no pipelines where nobody knows which they were, or which records these are", () => {
  const notice = noticeOf(
    [booked({}), batch],
    [booked({ committedOrdinals: [] }), { ...batch, pipelinesState: undefined } as never],
  );
  expect(notice?.batches.map((of) => of.pipelinesState)).toEqual([undefined, undefined]);
});

test("says nothing of what was written before", () => {
  expect(noticeOf([{ kind: "already_booked", batchId }, batch])).toBeUndefined();
});

test("tells also of batches without anything that is committed now: they are the young ones that are asked for", () => {
  const none = booked({ committedFingerprints: new Uint8Array(), committedOrdinals: [] });
  expect(noticeOf([none, batch])?.batches).toMatchObject([
    { batchId: new Uint8Array(batchId), fingerprints: new Uint8Array() },
  ]);
});

test("tells of much in several notices, each of which NATS takes", () => {
  const large = booked({ committedFingerprints: Buffer.alloc(5_000 * 16), committedOrdinals: [] });
  const notices = noticesOf(...Array.from({ length: 13 }, (): [BatchOutcome, RecordBatch] => [large, batch]));
  expect(notices.map(({ batches }) => batches.length)).toEqual([3, 3, 3, 3, 1]);
});
