import { LIMITS } from "@chowhound/shared/record/limits";
import { timestampUs } from "@chowhound/shared/record/record-version";
import { RECORD_FIELD, type RecordView } from "@chowhound/shared/record/record-view";
import { structToJson } from "@chowhound/shared/record/struct-json";
import { formatUuid } from "@chowhound/shared/record/uuid";
import type { JsonObject, RecordSource } from "./record-draft.ts";

/**
 * Gives a draft its record out of the encoded bytes, field by field, when asked. Good until the view reads another
 * record.
 */
export class ViewSource implements RecordSource {
  readonly tenantId: string;
  readonly #view: RecordView;
  readonly #uuids: Uint8Array;
  readonly #uuidAt: number;

  /** @param uuids the batch's column, in which the record's uuid begins at `uuidAt` */
  constructor(view: RecordView, tenantId: string, uuids: Uint8Array, uuidAt: number) {
    this.#view = view;
    this.tenantId = tenantId;
    this.#uuids = uuids;
    this.#uuidAt = uuidAt;
  }

  get uuid(): string {
    return formatUuid(this.#uuids, this.#uuidAt);
  }
  get sourceType(): string {
    return this.#view.text(RECORD_FIELD.sourceType);
  }
  get sourceId(): string {
    return this.#view.text(RECORD_FIELD.sourceId);
  }
  get createdAtUs(): bigint | undefined {
    return this.#time(RECORD_FIELD.createdAt);
  }
  get updatedAtUs(): bigint | undefined {
    return this.#time(RECORD_FIELD.updatedAt);
  }
  dataId(): string {
    return this.#view.text(RECORD_FIELD.dataId);
  }
  data(): string {
    return this.#view.text(RECORD_FIELD.data);
  }
  metadata(): JsonObject {
    const bytes = this.#view.slice(RECORD_FIELD.metadata);
    return bytes.length === 0 ? {} : JSON.parse(structToJson(bytes, LIMITS.metadataDepth));
  }
  metadataType(): string {
    return this.#view.text(RECORD_FIELD.metadataType);
  }
  lang(): string {
    return this.#view.text(RECORD_FIELD.lang);
  }
  attributes(): Record<string, string> {
    // The view's object has no prototype, and so would never equal one that a step has made.
    return { ...this.#view.attributes() };
  }

  #time(field: typeof RECORD_FIELD.createdAt | typeof RECORD_FIELD.updatedAt): bigint | undefined {
    const time = this.#view.timestamp(field);
    const us = time === undefined ? undefined : timestampUs(time);
    return us === undefined ? undefined : BigInt(us);
  }
}
