import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { type TappedRecord, TappedRecordSchema } from "@chowhound/shared/contracts/chowhound/v1/tap_service";
import { LIMITS } from "../record/limits.ts";
import { RECORD_FIELD, RecordView } from "../record/record-view.ts";
import { StructError, structToJson } from "../record/struct-json.ts";
import { WireError } from "../record/wire.ts";
import { cutBytes, cutText } from "./cut-text.ts";
import type { Outcome } from "./outcomes.ts";
import type { TapFacts, TapSource } from "./tap-source.ts";

const maxDetailBytes = 1_024;
const nothing = new RecordView().read(new Uint8Array());

/**
 * One record after the other of a source, read as far as it is looked at and once for all who look. A record that
 * can't be read, or only in part, is shown as far as it can: at the door and among the dead there are such.
 */
export class RecordSight {
  readonly #source: TapSource;
  readonly #record = new RecordView();
  #index = 0;
  #view: RecordView | undefined;

  constructor(source: TapSource) {
    this.#source = source;
  }

  moveTo(index: number): void {
    this.#index = index;
    this.#view = undefined;
  }

  get tenantId(): string {
    return this.#source.tenantAt(this.#index);
  }
  get outcome(): Outcome {
    return this.#source.outcomeAt(this.#index);
  }
  /** UTF-8, not copied. */
  get sourceType(): Buffer {
    return this.#read().slice(RECORD_FIELD.sourceType);
  }
  get sourceId(): Buffer {
    return this.#read().slice(RECORD_FIELD.sourceId);
  }
  /** Of the record as it was sent. */
  get byteLength(): number {
    return this.#source.originalAt(this.#index)?.length ?? 0;
  }

  /** @param maxContentBytes of data and of metadata; 0: neither is read */
  show(atMs: number, maxContentBytes: number): TappedRecord {
    const facts = this.#source.factsAt(this.#index);
    const record = create(TappedRecordSchema, {
      at: timestampFromMs(atMs),
      tenantId: this.tenantId,
      sourceType: cutBytes(this.sourceType, LIMITS.sourceTypeBytes),
      sourceId: cutBytes(this.sourceId, LIMITS.sourceIdBytes),
      dataId: this.#text(facts.changed?.dataId, RECORD_FIELD.dataId, LIMITS.dataIdBytes),
      uuid: facts.uuid,
      outcome: this.outcome,
      reason: facts.reason,
      detail: cutText(facts.detail, maxDetailBytes),
      pipelineVersion: facts.pipelineVersion,
      traceId: facts.traceId,
    });
    if (maxContentBytes > 0) {
      record.data = this.#text(facts.changed?.data, RECORD_FIELD.data, maxContentBytes);
      record.metadataJson = cutText(this.#metadataJson(facts), maxContentBytes);
    }
    return record;
  }

  #text(changed: string | undefined, field: 5 | 6, maxBytes: number): string {
    return changed === undefined ? cutBytes(this.#read().slice(field), maxBytes) : cutText(changed, maxBytes);
  }

  /** "" where there is none, or none that can be read. */
  #metadataJson({ changed }: TapFacts): string {
    if (changed?.metadataJson !== undefined) return changed.metadataJson;
    const metadata = this.#read().slice(RECORD_FIELD.metadata);
    try {
      return metadata.length === 0 ? "" : structToJson(metadata, LIMITS.metadataDepth);
    } catch (error) {
      if (error instanceof WireError || error instanceof StructError) return "";
      throw error;
    }
  }

  #read(): RecordView {
    this.#view ??= this.#readOriginal();
    return this.#view;
  }

  #readOriginal(): RecordView {
    const original = this.#source.originalAt(this.#index);
    try {
      return original === undefined ? nothing : this.#record.read(original);
    } catch (error) {
      if (error instanceof WireError) return nothing;
      throw error;
    }
  }
}
