import { newUuid } from "@chowhound/shared/record/assign-uuid";
import { RECORD_FIELD, RecordView } from "@chowhound/shared/record/record-view";
import { readUuid } from "@chowhound/shared/record/uuid";
import type { AcceptedRecord } from "@chowhound/shared/record/validate-record";

/** A record that was accepted before, byte for byte, and has landed: it goes into the books, but not once more on its way. */
export interface KnownRecord {
  kind: "accepted";
  isKnown: true;
  /** 16 bytes: as sent, or assigned anew (version 7). */
  uuid: Uint8Array;
  sourceType: Buffer;
  sourceId: Buffer;
}

/** A record that enters the mesh. */
export type EnteringRecord = AcceptedRecord | KnownRecord;

export function isKnown(record: EnteringRecord): record is KnownRecord {
  return (record as Partial<KnownRecord>).isKnown === true;
}

/** Read over one record after the other. */
const view = new RecordView();

/** @param bytes of a record that was accepted before */
export function readKnown(bytes: Uint8Array): KnownRecord {
  view.read(bytes);
  const { uuid, sourceType, sourceId } = RECORD_FIELD;
  return {
    kind: "accepted",
    isKnown: true,
    uuid: readUuid(view.bytes, view.start(uuid), view.end(uuid)) ?? newUuid(),
    sourceType: view.slice(sourceType),
    sourceId: view.slice(sourceId),
  };
}
