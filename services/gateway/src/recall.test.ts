import { create, toBinary } from "@bufbuild/protobuf";
import {
  CommitNoticeSchema,
  CommittedBatchSchema,
  ConfirmResponseSchema,
} from "@chowhound/shared/contracts/chowhound/internal/v1/commit_notice";
import { PipelinesStateSchema } from "@chowhound/shared/contracts/chowhound/internal/v1/record_batch";
import { describe, expect, it } from "vitest";
import { Recall, type RecallOutcome } from "./recall.ts";

const TENANT = "acme";
const a = Buffer.from("record a");
const b = Buffer.from("record b");
const c = Buffer.from("record c");
const batchId = Buffer.alloc(16, 1);

/** A gateway's memory with a store and pipelines that answer as the test says. */
function setUp({ unansweredPauseMs = 0 } = {}) {
  const world = { generation: "g1", allBooked: true, revision: 4n, epoch: 1n, isAnswering: true, asked: 0 };
  const outcomes: RecallOutcome[] = [];
  const recall = new Recall({
    capacity: 1_000,
    confirm: async () => {
      world.asked++;
      if (!world.isAnswering) throw new Error("timeout");
      const { generation, allBooked } = world;
      const answer = create(ConfirmResponseSchema, { generation, allBooked, byGeneration: true });
      return toBinary(ConfirmResponseSchema, answer);
    },
    pipelinesState: async () => create(PipelinesStateSchema, world),
    onOutcome: (outcome) => outcomes.push(outcome),
    unansweredPauseMs,
    askIntervalMs: 0,
  });
  const known = async (records: readonly Buffer[], tenant = TENANT): Promise<boolean[]> => {
    const recalled = await recall.look(tenant, records);
    return records.map((_, index) => recalled.known?.[index] === 1);
  };
  /** The gateway sends a batch of these. */
  const send = async (records: readonly Buffer[], id: Buffer = batchId): Promise<void> =>
    recall.sent(id, (await recall.look(TENANT, records)).fingerprints);
  /** The store reports a batch as committed, of so many records, processed by the pipelines in force. */
  const report = (
    count: number,
    {
      id = batchId,
      ordinals = [],
      state = { epoch: world.epoch, revision: world.revision },
    }: { id?: Buffer; ordinals?: number[]; state?: { epoch: bigint; revision: bigint } | "unknown" } = {},
    generation = world.generation,
  ): void => {
    const batch = create(CommittedBatchSchema, {
      batchId: id,
      fingerprints: Buffer.alloc(16 * count),
      ordinals,
      ...(state !== "unknown" && { pipelinesState: state }),
    });
    const notice = create(CommitNoticeSchema, { generation, batches: [batch] });
    recall.hear(toBinary(CommitNoticeSchema, notice));
  };
  return { world, outcomes, recall, known, send, report };
}

async function setUpLanded(options?: { unansweredPauseMs?: number }) {
  const all = setUp(options);
  await all.send([a, b]);
  all.report(2);
  return all;
}

describe("a record is known", () => {
  it("when the store has reported its batch, and by its tenant only", async () => {
    const { known, send, report, world } = setUp();
    await send([a, b]);
    expect(await known([a, b, c])).toEqual([false, false, false]);
    expect(world.asked).toBe(0);
    report(2);
    expect(await known([a, b, c])).toEqual([true, true, false]);
    expect(await known([a], "globex")).toEqual([false]);
  });

  it("where the store says of which places it speaks, and at no other", async () => {
    const { known, send, report } = setUp();
    await send([a, b, c]);
    report(2, { ordinals: [0, 2] });
    expect(await known([a, b, c])).toEqual([true, false, true]);
  });

  it("also after a restart of the database that has all that was reported", async () => {
    const { known, world, outcomes } = await setUpLanded();
    world.generation = "g2";
    expect(await known([a])).toEqual([true]);
    expect(await known([a])).toEqual([true]);
    expect(outcomes).toEqual(["rebound", "confirmed"]);
  });

  it("to a call that holds what couldn't be turned into a record, too", async () => {
    const { recall } = await setUpLanded();
    const rejected = { kind: "rejected", reason: "malformed_record", field: "", message: "" } as const;
    const recalled = await recall.look(TENANT, [rejected, a]);
    expect([...recalled.known!]).toEqual([0, 1]);
  });
});

describe("a record is not known", () => {
  it("once the database lacks what was reported: never again, not even when that comes back", async () => {
    const { known, world, outcomes } = await setUpLanded();
    world.allBooked = false;
    expect(await known([a])).toEqual([false]);
    world.allBooked = true;
    expect(await known([a])).toEqual([false]);
    expect(outcomes).toEqual(["void"]);
  });

  it("while the pipelines are others than those that have processed it", async () => {
    const { known, world, outcomes } = await setUpLanded();
    world.revision++;
    expect(await known([a])).toEqual([false]);
    world.revision--;
    world.epoch++;
    expect(await known([a])).toEqual([false]);
    world.epoch--;
    expect(await known([a])).toEqual([true]);
    expect(outcomes).toEqual(["other-pipelines", "other-pipelines", "confirmed"]);
  });

  it("when later pipelines have processed another one since, which is then", async () => {
    const { known, send, report, world } = await setUpLanded();
    world.revision++;
    await send([c], Buffer.alloc(16, 2));
    report(1, { id: Buffer.alloc(16, 2) });
    expect(await known([a, b, c])).toEqual([false, false, true]);
  });

  it("where earlier pipelines have processed it than another one before", async () => {
    const { known, send, report, world } = await setUpLanded();
    await send([c], Buffer.alloc(16, 2));
    report(1, { id: Buffer.alloc(16, 2), state: { epoch: 1n, revision: world.revision - 1n } });
    expect(await known([a, b, c])).toEqual([true, true, false]);
  });

  it("where the store doesn't say by which pipelines, or of how many records", async () => {
    const { known, send, report } = setUp();
    await send([a, b]);
    report(2, { state: "unknown" });
    await send([a, b]);
    report(1);
    await send([a, b]);
    report(1, { ordinals: [2] });
    expect(await known([a, b])).toEqual([false, false]);
  });

  it("where the report is of another database than the one that is known", async () => {
    const { known, send, report } = await setUpLanded();
    await send([c], Buffer.alloc(16, 2));
    report(1, { id: Buffer.alloc(16, 2) }, "g0");
    expect(await known([a, c])).toEqual([true, false]);
  });

  it("where the answer comes after the index was begun anew", async () => {
    const { known, send, report, world } = await setUpLanded();
    await send([c], Buffer.alloc(16, 2));
    const answer = known([a]);
    world.revision++;
    report(1, { id: Buffer.alloc(16, 2) });
    expect(await answer).toEqual([false]);
    expect(await known([c])).toEqual([true]);
  });

  it("while nobody answers; and then nobody is asked for a while", async () => {
    const { known, world, outcomes } = await setUpLanded({ unansweredPauseMs: 60_000 });
    world.isAnswering = false;
    expect(await known([a])).toEqual([false]);
    world.isAnswering = true;
    expect(await known([a])).toEqual([false]);
    expect([world.asked, outcomes]).toEqual([1, ["no-answer"]]);
  });
});

it("what is no notice changes nothing", async () => {
  const { recall, known } = await setUpLanded();
  recall.hear(Buffer.from("hello"));
  expect(await known([a])).toEqual([true]);
});

it("a call without anything known waits for nobody", () => {
  expect(setUp().recall.look(TENANT, [a])).not.toBeInstanceOf(Promise);
});
