import { HASH_BYTES } from "@chowhound/shared/record/content-hash";

/**
 * What the batches on their way were made of: a ring in which the newest takes the place of the oldest. One piece of memory, since
 * small ones that live long among large ones that don't would keep whole pages of both.
 */
export class SentBatches {
  readonly #capacity: number;
  readonly #ring: Buffer;
  /** By batch id, oldest first: where in the ring, counted on over all its turns, and how many records. */
  readonly #places = new Map<string, { start: number; count: number }>();
  #end = 0;

  /** @param capacity in records, of all batches together */
  constructor(capacity: number) {
    this.#capacity = capacity;
    // As the index: V8 counts it neither for the heap nor as a buffer.
    this.#ring = Buffer.from(new SharedArrayBuffer(capacity * HASH_BYTES));
  }

  /** @param fingerprints 16 bytes a record, in the order of their places; copied. More than there is room for are not kept */
  add(batchId: Uint8Array, fingerprints: Buffer): void {
    const count = fingerprints.length / HASH_BYTES;
    if (count > this.#capacity) return;
    let start = this.#end;
    // In one piece: not over the end of the ring.
    const at = start % this.#capacity;
    if (at + count > this.#capacity) start += this.#capacity - at;
    this.#end = start + count;
    for (const [oldest, place] of this.#places) {
      if (place.start >= this.#end - this.#capacity) break;
      this.#places.delete(oldest);
    }
    fingerprints.copy(this.#ring, (start % this.#capacity) * HASH_BYTES);
    this.#places.set(hex(batchId), { start, count });
  }

  /** The fingerprints of a batch, once, to be read before the next is added; undefined where it isn't known. */
  take(batchId: Uint8Array): Buffer | undefined {
    const id = hex(batchId);
    const place = this.#places.get(id);
    if (place === undefined) return undefined;
    this.#places.delete(id);
    const at = (place.start % this.#capacity) * HASH_BYTES;
    return this.#ring.subarray(at, at + place.count * HASH_BYTES);
  }
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}
