import { ByteWriter } from "@chowhound/shared/record/byte-writer";
import { RECORD_FIELD, type RecordView } from "@chowhound/shared/record/record-view";
import { FieldWriter } from "./copy-binary.ts";
import type { Source } from "./source-totals.ts";

/** A source of records of one tenant, with what all its records share. */
export interface RecordSource extends Source {
  /** What the keys of its records begin with. */
  readonly keyPrefix: string;
  /** The fields tenant_id, source_type and source_id of a row. */
  readonly fields: Uint8Array;
}

/** The sources of a group of batches, each made once. */
export class RecordSources {
  readonly #known = new Map<string, RecordSource>();

  of(tenantId: string, view: RecordView): RecordSource {
    const { sourceType, sourceId } = RECORD_FIELD;
    const type = view.bytes.toString("latin1", view.start(sourceType), view.end(sourceType));
    const id = view.bytes.toString("latin1", view.start(sourceId), view.end(sourceId));
    // No identifier holds a control character, so the separator can't be part of one.
    const keyPrefix = `${tenantId}\0${type}\0${id}\0`;
    let source = this.#known.get(keyPrefix);
    if (source === undefined) {
      source = {
        tenantId,
        sourceType: view.text(sourceType),
        sourceId: view.text(sourceId),
        keyPrefix,
        fields: encodeSource(tenantId, view),
      };
      this.#known.set(keyPrefix, source);
    }
    return source;
  }
}

function encodeSource(tenantId: string, view: RecordView): Uint8Array {
  const fields = new FieldWriter(new ByteWriter(1024));
  fields.text(tenantId);
  fields.bytes(view.slice(RECORD_FIELD.sourceType));
  fields.bytes(view.slice(RECORD_FIELD.sourceId));
  return fields.out.written;
}
