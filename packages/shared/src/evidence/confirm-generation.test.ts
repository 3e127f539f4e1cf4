import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import {
  ConfirmRequestSchema,
  ConfirmResponseSchema,
} from "@chowhound/shared/contracts/chowhound/internal/v1/commit_notice";
import { describe, expect, it, vi } from "vitest";
import { type ConfirmOutcome, createConfirmation } from "./confirm-generation.ts";
import { createDropLicense } from "./drop-license.ts";
import { createFingerprintIndex } from "./fingerprint-index.ts";

const batchId = "01".repeat(16);
const fingerprint = Buffer.alloc(16, 7);

/** Evidence bound to g1 and a store that answers when the test says so. */
function dialogue({ intervalMs = 0 } = {}) {
  const index = createFingerprintIndex({ capacity: 1_000 });
  const license = createDropLicense({
    binding: { generation: "g1", recent: [{ batchId, generation: "g0" }] },
  });
  index.add(fingerprint, 0);
  const questions: { asked: string[]; reply(message: Uint8Array): void; fail(): void }[] = [];
  const outcomes: ConfirmOutcome[] = [];
  const confirmation = createConfirmation({
    index,
    license,
    request: (message) =>
      new Promise((reply, reject) => {
        const { batchIds, generations, generationOf } = fromBinary(ConfirmRequestSchema, message);
        questions.push({
          asked: batchIds.map(
            (id, place) => `${Buffer.from(id).toString("hex")} of ${generations[generationOf[place]!]}`,
          ),
          reply,
          fail: () => reject(new Error("timeout")),
        });
      }),
    onOutcome: (outcome) => outcomes.push(outcome),
    intervalMs,
  });
  const ask = (): Promise<boolean> => new Promise((resolve) => confirmation.ask(resolve));
  return { index, license, questions, outcomes, ask };
}

function answer(generation: string, allBooked: boolean, { byGeneration = true } = {}): Uint8Array {
  return toBinary(
    ConfirmResponseSchema,
    create(ConfirmResponseSchema, { generation, allBooked, byGeneration }),
  );
}

describe("confirmation", () => {
  it("asks about the recent batches, each with its generation, and permits drops under the same generation", async () => {
    const { questions, outcomes, ask } = dialogue();
    const mayDrop = ask();
    expect(questions.map(({ asked }) => asked)).toEqual([[`${batchId} of g0`]]);
    questions[0]!.reply(answer("g1", true));
    expect(await mayDrop).toBe(true);
    expect(outcomes).toEqual(["confirmed"]);
  });

  it("puts a question no sooner after the one before than it is told, also where nobody waited in between", async () => {
    const { questions, ask } = dialogue({ intervalMs: 60 });
    const startedMs = performance.now();
    for (const asked of [1, 2]) {
      const mayDrop = ask();
      await vi.waitFor(() => expect(questions).toHaveLength(asked));
      questions.at(-1)!.reply(answer("g1", true));
      expect(await mayDrop).toBe(true);
    }
    // Timers count whole milliseconds.
    expect(performance.now() - startedMs).toBeGreaterThan(58);
  });

  it("shares one question among all who ask while another is under way, and starts it after they asked", async () => {
    const { questions, outcomes, ask } = dialogue();
    const first = ask();
    const later = [ask(), ask(), ask()];
    expect(questions).toHaveLength(1);
    questions[0]!.fail();
    expect(await first).toBe(false);
    await expect.poll(() => questions.length).toBe(2);
    questions[1]!.reply(answer("g1", true));
    expect(await Promise.all(later)).toEqual([true, true, true]);
    expect(questions).toHaveLength(2);
    expect(outcomes).toEqual(["no-answer", "confirmed"]);
  });

  it("takes what can't be read, or names no database, for no answer", async () => {
    const { index, questions, outcomes, ask } = dialogue();
    for (const [place, message] of [Buffer.from([0xff]), answer("", false)].entries()) {
      const mayDrop = ask();
      questions[place]!.reply(message);
      expect(await mayDrop).toBe(false);
    }
    expect(outcomes).toEqual(["no-answer", "no-answer"]);
    expect(index.size).toBe(1);
  });

  it("clears the index when the store has lost a batch", async () => {
    const { index, questions, outcomes, ask } = dialogue();
    const mayDrop = ask();
    questions[0]!.reply(answer("g2", false));
    expect(await mayDrop).toBe(false);
    expect(index.size).toBe(0);
    expect(outcomes).toEqual(["void"]);
  });

  it("believes a store that knows nothing of generations only under the generation it is bound to", async () => {
    const { index, questions, outcomes, ask } = dialogue();
    const byGeneration = false;
    const bound = ask();
    questions[0]!.reply(answer("g1", true, { byGeneration }));
    expect(await bound).toBe(true);
    const another = ask();
    questions[1]!.reply(answer("g2", true, { byGeneration }));
    expect(await another).toBe(false);
    expect(outcomes).toEqual(["confirmed", "void"]);
    expect(index.size).toBe(0);
  });

  it("lets those who asked look at the index before anything else can change it", async () => {
    const { index, license, questions } = dialogue();
    const seen: string[] = [];
    const confirmation = createConfirmation({
      index,
      license,
      request: () => new Promise((reply) => questions.push({ asked: [], reply, fail: () => {} })),
      onOutcome: () => {
        queueMicrotask(() => {
          index.clear();
          seen.push("cleared");
        });
      },
    });
    confirmation.ask(() => {});
    for (let i = 0; i < 3; i++)
      confirmation.ask((mayDrop) => seen.push(`${mayDrop} ${index.has(fingerprint, 0)}`));
    questions[0]!.reply(answer("g1", true));
    index.add(fingerprint, 0);
    await expect.poll(() => questions.length).toBe(2);
    index.add(fingerprint, 0);
    questions[1]!.reply(answer("g1", true));
    await expect.poll(() => seen.length).toBe(5);
    expect(seen).toEqual(["cleared", "true true", "true true", "true true", "cleared"]);
  });
});
