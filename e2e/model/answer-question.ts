import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import {
  ConfirmRequestSchema,
  ConfirmResponseSchema,
} from "@chowhound/shared/contracts/chowhound/internal/v1/commit_notice";
import { reportedBatches } from "../../services/store/src/confirm-responder.ts";
import type { Surroundings } from "./model-stages.ts";
import type { Life } from "./steps.ts";

/**
 * A question on its way to the store, and the answer on its way back.
 *
 * @param isAsked false: nobody looks into the database, and everything is as it was
 */
export async function answerQuestion(
  question: Uint8Array,
  life: Life,
  { steps, database }: Pick<Surroundings, "steps" | "database">,
  isAsked: boolean,
): Promise<Uint8Array> {
  await steps.turn(life, "ask");
  const asked = fromBinary(ConfirmRequestSchema, question);
  const answer = isAsked
    ? database.confirm(reportedBatches(asked), asked.generation)
    : { generation: asked.generation || "any", allBooked: true };
  await steps.turn(life, "answer");
  return toBinary(ConfirmResponseSchema, create(ConfirmResponseSchema, { ...answer, byGeneration: true }));
}
