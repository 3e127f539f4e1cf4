import {
  type RecordFate,
  type RecordKey,
  type RecordState,
  RecordStateSchema,
} from "@chowhound/shared/contracts/chowhound/v1/query_service";
import { formatTimestamp } from "../proto-time.ts";

/** Such as "stored" and "in_flight". */
export function stateName(state: RecordState): string {
  return (RecordStateSchema.value[state]?.localName ?? `state ${state}`).toLowerCase();
}

/** What there is to say about a fate beside its state, for a person; may be empty. */
export function explainFate({ state, waiting, deadLetter, row }: RecordFate): string {
  if (waiting !== undefined)
    return `in ${waiting.stream.toUpperCase()} as number ${waiting.sequence}, waiting for the ${waiting.waitsFor} since ${formatTimestamp(waiting.since)}`;
  if (deadLetter !== undefined) {
    const settled = deadLetter.state === "resolved" ? `resolved as ${stateName(deadLetter.verdict)}` : "";
    const { id, reason, detail } = deadLetter;
    return `${reason}: ${detail} (dead letter ${id}, ${settled || deadLetter.state})`;
  }
  const name = stateName(state);
  if (row === undefined) {
    const wasRow = ["stored", "updated", "unchanged"].includes(name);
    return wasRow ? "its key has a newer record now, with another uuid" : "";
  }
  const key = formatKey(row.key);
  if (row.isThis) return `the row ${key}`;
  return name === "conflict"
    ? `its uuid is that of the row ${key}`
    : `the row ${key} was brought another time`;
}

/** A fate as labelled lines, in the order in which they are shown. */
export function describeFate(fate: RecordFate): [label: string, text: string][] {
  const { batch, pipelineVersion } = fate;
  const explanation = explainFate(fate);
  const number = batch?.epoch ? `, number ${batch.rawSequence} of RAW` : "";
  return [
    ["state", `${stateName(fate.state)}${explanation && `: ${explanation}`}`],
    ["uuid", fate.uuid],
    ["accepted", formatTimestamp(fate.acceptedAt)],
    ["booked", formatTimestamp(fate.bookedAt)],
    ["batch", batch === undefined ? "" : `${batch.batchId}/${batch.ordinal}${number}`],
    ["replay of", batch?.replayOf ?? ""],
    ["pipeline", pipelineVersion === undefined ? "" : formatPipeline(pipelineVersion)],
    ["receipt", fate.receiptId],
    ["trace", fate.traceId],
  ];
}

/** 0 is the one that is built in. */
export function formatPipeline(version: bigint): string {
  return version === 0n ? "default" : String(version);
}

function formatKey(key: RecordKey | undefined): string {
  return key === undefined ? "" : `${key.sourceType}/${key.sourceId}/${key.dataId}`;
}
