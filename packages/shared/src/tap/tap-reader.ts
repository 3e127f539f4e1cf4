import type { MessageInitShape } from "@bufbuild/protobuf";
import type { TailResponseSchema, TappedRecord } from "@chowhound/shared/contracts/chowhound/v1/tap_service";
import type { RecordSight } from "./record-sight.ts";
import type { TailFilter } from "./tail-filter.ts";

/** What may wait for one reader. */
export const BUFFER_LIMITS = { records: 1_000, bytes: 1024 ** 2 } as const;
/** Encoded records that one reader may have read for their contents in a second. */
export const CONTENT_BYTES_PER_SECOND = 4 * 1024 ** 2;

/** What is waiting for a reader. */
export type Pending = MessageInitShape<typeof TailResponseSchema> & {
  records: TappedRecord[];
  skipped: bigint;
};

export interface TapReaderOptions {
  filter: TailFilter;
  /** Something is waiting to be taken. */
  onPending(): void;
  /** The tap has been closed. What is waiting may still be taken. */
  onClosed(): void;
  /** From 0 up to 1. */
  random(): number;
}

/**
 * What one reader gets to see: what matches, up to the rate, and up to what may wait for it. The rest is skipped and
 * counted, before it is looked at.
 */
export class TapReader {
  readonly #options: TapReaderOptions;
  #records: TappedRecord[] = [];
  #bytes = 0;
  #skipped = 0;
  #secondBeganMs = Number.NEGATIVE_INFINITY;
  #shownInSecond = 0;
  #readInSecond = 0;

  constructor(options: TapReaderOptions) {
    this.#options = options;
  }

  /**
   * Takes the record in sight, or leaves it.
   *
   * @param nowMs of a clock that never goes back
   */
  offer(sight: RecordSight, nowMs: number): void {
    const { filter, random } = this.#options;
    if (!this.#hasRoom(nowMs)) {
      this.#skipped++;
      return;
    }
    // Lots are drawn first: which records are sampled doesn't depend on whether they match.
    if (filter.sampleRatio < 1 && random() >= filter.sampleRatio) return;
    if (!matches(filter, sight)) return;
    const record = sight.show(Date.now(), filter.maxContentBytes);
    this.#records.push(record);
    this.#bytes += sizeOf(record);
    this.#shownInSecond++;
    if (filter.maxContentBytes > 0) this.#readInSecond += sight.byteLength;
  }

  /** Says that there is something to be taken, if there is. */
  wake(): void {
    if (this.#records.length > 0 || this.#skipped > 0) this.#options.onPending();
  }

  /** What is waiting, which no longer waits then; undefined where nothing is. */
  take(): Pending | undefined {
    if (this.#records.length === 0 && this.#skipped === 0) return undefined;
    const pending = { records: this.#records, skipped: BigInt(this.#skipped) };
    this.#records = [];
    this.#bytes = 0;
    this.#skipped = 0;
    return pending;
  }

  closed(): void {
    this.#options.onClosed();
  }

  #hasRoom(nowMs: number): boolean {
    if (this.#records.length >= BUFFER_LIMITS.records || this.#bytes >= BUFFER_LIMITS.bytes) return false;
    if (nowMs - this.#secondBeganMs >= 1_000) {
      this.#secondBeganMs = nowMs;
      this.#shownInSecond = 0;
      this.#readInSecond = 0;
    }
    return (
      this.#shownInSecond < this.#options.filter.maxRecordsPerSecond &&
      this.#readInSecond < CONTENT_BYTES_PER_SECOND
    );
  }
}

/** What costs nothing is compared first. */
function matches({ tenantId, outcomes, sourceType, sourceId }: TailFilter, sight: RecordSight): boolean {
  return (
    (tenantId === "" || tenantId === sight.tenantId) &&
    (outcomes.size === 0 || outcomes.has(sight.outcome)) &&
    (sourceType.length === 0 || sourceType.equals(sight.sourceType)) &&
    (sourceId.length === 0 || sourceId.equals(sight.sourceId))
  );
}

/** What a record takes in memory and on the wire, roughly. */
function sizeOf({ data, metadataJson, sourceType, sourceId, dataId, detail }: TappedRecord): number {
  const texts = [data, metadataJson, sourceType, sourceId, dataId, detail];
  return texts.reduce((sum, text) => sum + Buffer.byteLength(text), 200);
}
