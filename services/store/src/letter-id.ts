import type { RecordBatch } from "@chowhound/shared/contracts/chowhound/internal/v1/record_batch";
import { formatUuid, parseUuid } from "@chowhound/shared/record/uuid";

/** Names a dead letter: the batch in which its record was accepted, as a uuid, and the record's place there. */
export interface LetterId {
  batchId: string;
  ordinal: number;
}

const MAX_ORDINAL = 2 ** 31 - 1;

/** Such as "7d0c8a2e-4a8e-4c0e-9d7f-0f3c7f9a5b11/12". */
export function formatLetterId({ batchId, ordinal }: LetterId): string {
  return `${batchId}/${ordinal}`;
}

/** Undefined where the text is no letter's id. */
export function parseLetterId(text: string): LetterId | undefined {
  const [uuid = "", place = "", ...more] = text.split("/");
  const bytes = parseUuid(uuid);
  const ordinal = Number(place);
  const isValid = bytes !== undefined && /^\d{1,10}$/.test(place) && ordinal <= MAX_ORDINAL;
  return isValid && more.length === 0 ? { batchId: formatUuid(bytes), ordinal } : undefined;
}

/** The letter that a replayed record stands for. */
export function replayedLetter(batch: RecordBatch, index: number): LetterId {
  return { batchId: formatUuid(batch.replayOf), ordinal: batch.replayOrdinals[index]! };
}
