import { ByteWriter } from "@chowhound/shared/record/byte-writer";
import { type FieldNumber, RECORD_FIELD, type RecordView } from "@chowhound/shared/record/record-view";
import { writtenSource } from "@chowhound/shared/record/written-source";
import { FieldWriter } from "./copy-binary.ts";
import type { Source } from "./source-totals.ts";

/** A source of records of one tenant, with what all its records share. */
export interface RecordSource extends Source {
  /** What the keys of its records begin with. */
  readonly keyPrefix: string;
  /** The fields tenant_id, source_type and source_id of a row. */
  readonly fields: Uint8Array;
}

/** The sources of a group of batches. */
export class RecordSources {
  readonly #byTenant = new Map<string, Map<string, RecordSource>>();

  of(tenantId: string, view: RecordView): RecordSource {
    let known = this.#byTenant.get(tenantId);
    if (known === undefined) {
      known = new Map();
      this.#byTenant.set(tenantId, known);
    }
    const written = writtenSource(view);
    let source = known.get(written);
    if (source === undefined) {
      source = readSource(tenantId, view);
      known.set(written, source);
    }
    return source;
  }
}

function readSource(tenantId: string, view: RecordView): RecordSource {
  const { sourceType, sourceId } = RECORD_FIELD;
  return {
    tenantId,
    sourceType: view.text(sourceType),
    sourceId: view.text(sourceId),
    // No identifier holds a control character, so the separator can't be part of one.
    keyPrefix: `${tenantId}\0${latin1(view, sourceType)}\0${latin1(view, sourceId)}\0`,
    fields: encodeSource(tenantId, view),
  };
}

function latin1(view: RecordView, field: FieldNumber): string {
  return view.bytes.toString("latin1", view.start(field), view.end(field));
}

function encodeSource(tenantId: string, view: RecordView): Uint8Array {
  const fields = new FieldWriter(new ByteWriter(1024));
  fields.text(tenantId);
  fields.bytes(view.slice(RECORD_FIELD.sourceType));
  fields.bytes(view.slice(RECORD_FIELD.sourceId));
  return fields.out.written;
}
