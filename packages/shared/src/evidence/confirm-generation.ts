import { setTimeout as sleep } from "node:timers/promises";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import {
  type ConfirmRequest,
  ConfirmRequestSchema,
  type ConfirmResponse,
  ConfirmResponseSchema,
} from "@chowhound/shared/contracts/chowhound/internal/v1/commit_notice";
import type { Answer, Question } from "./drop-license.ts";
import type { Evidence } from "./evidence.ts";

/** How a question to the store ended; all but `no-answer` are the license's words. */
export type ConfirmOutcome = "confirmed" | "rebound" | "void" | "ask-again" | "no-answer";

export interface Confirmation {
  /**
   * Asks the store whether the index may be believed. `onAnswer` is called once, in the moment of the answer: what it
   * finds in the index before it returns, of the records that had arrived before the call, may be dropped if `mayDrop`.
   */
  ask(onAnswer: (mayDrop: boolean) => void): void;
}

export interface ConfirmationOptions extends Evidence {
  /** Puts a ConfirmRequest to the store; rejects where no answer comes in time. */
  request(question: Uint8Array): Promise<Uint8Array>;
  onOutcome(outcome: ConfirmOutcome): void;
  /** From one question to the next at least: whoever comes meanwhile shares it. */
  intervalMs?: number;
}

/** One question is under way at a time. Who comes meanwhile shares the next: an answer speaks for the past only. */
export function createConfirmation({
  index,
  license,
  request,
  onOutcome,
  intervalMs = 0,
}: ConfirmationOptions): Confirmation {
  let isAsking = false;
  /** When the next question may be put. */
  let nextMs = 0;
  let waiting: ((mayDrop: boolean) => void)[] = [];

  async function askForAll(): Promise<void> {
    isAsking = true;
    while (waiting.length > 0) {
      const waitMs = nextMs - performance.now();
      if (waitMs > 0) await sleep(waitMs);
      nextMs = performance.now() + intervalMs;
      const served = waiting;
      waiting = [];
      const question = license.ask();
      const answer = await putQuestion(question, request);
      const outcome = answer === undefined ? "no-answer" : license.onConfirmation(question, answer);
      // No pause from here to the last onAnswer: the outcome speaks of this moment.
      if (outcome === "void") index.clear();
      onOutcome(outcome);
      for (const onAnswer of served) onAnswer(outcome === "confirmed" || outcome === "rebound");
    }
    isAsking = false;
  }

  return {
    ask(onAnswer) {
      waiting.push(onAnswer);
      if (!isAsking) void askForAll();
    },
  };
}

/** The store's answer; undefined where none comes, or one that can't be read. */
async function putQuestion(
  question: Question,
  request: ConfirmationOptions["request"],
): Promise<Answer | undefined> {
  try {
    const message = toBinary(ConfirmRequestSchema, toRequest(question));
    const answer = fromBinary(ConfirmResponseSchema, await request(message));
    return answer.generation === "" ? undefined : readAnswer(question, answer);
  } catch {
    return undefined;
  }
}

function toRequest({ recent, generation = "" }: Question): ConfirmRequest {
  const generations = [...new Set(recent.map((batch) => batch.generation))];
  return create(ConfirmRequestSchema, {
    batchIds: recent.map(({ batchId }) => Buffer.from(batchId, "hex")),
    generation,
    generations,
    generationOf: recent.map((batch) => generations.indexOf(batch.generation)),
  });
}

/** A store that doesn't look at each batch's generation can't speak for batches of another one than it is now. */
function readAnswer(
  { recent, generation: bound }: Question,
  { generation, allBooked, byGeneration }: ConfirmResponse,
): Answer {
  const isProof = byGeneration || generation === bound || recent.length === 0;
  return { generation, allBooked: allBooked && isProof };
}
