import { newUuid } from "@chowhound/shared/record/assign-uuid";
import { RECORD_FIELD, RecordView } from "@chowhound/shared/record/record-view";
import { readUuid } from "@chowhound/shared/record/uuid";
import type { AcceptedRecord } from "@chowhound/shared/record/validate-record";
import { writtenSource } from "@chowhound/shared/record/written-source";

/** A record that was accepted before, byte for byte, and has landed: it goes into the books, but not once more on its way. */
export class KnownRecord {
  readonly kind = "accepted";
  readonly isKnown = true;
  /** The encoded IngestionData, as sent. */
  readonly bytes: Buffer;
  /** 16 bytes: as sent, or assigned anew (version 7). */
  readonly uuid: Uint8Array;
  /** As `writtenSource` gives it. */
  readonly writtenSource: string;

  /** @param bytes of a record that was accepted before */
  constructor(bytes: Uint8Array) {
    view.read(bytes);
    this.bytes = view.bytes;
    this.uuid = readUuid(view.bytes, view.start(RECORD_FIELD.uuid), view.end(RECORD_FIELD.uuid)) ?? newUuid();
    this.writtenSource = writtenSource(view);
  }

  get sourceType(): Buffer {
    return view.read(this.bytes).slice(RECORD_FIELD.sourceType);
  }

  get sourceId(): Buffer {
    return view.read(this.bytes).slice(RECORD_FIELD.sourceId);
  }
}

/** A record that enters the mesh. */
export type EnteringRecord = AcceptedRecord | KnownRecord;

export function isKnown(record: EnteringRecord): record is KnownRecord {
  return record instanceof KnownRecord;
}

/** Read over one record after the other. */
const view = new RecordView();
