/**
 * A set of 16-byte fingerprints in fixed memory: when it is full, old entries make room for new ones.
 *
 * One `Int32Array`, cut into buckets of 64 words (256 bytes) that hold up to 15 fingerprints:
 *
 *     word   0       state: bits 1-15 "hit since the hand passed", 16-19 hand, 20-23 entries held
 *     words  1..15   first word of each fingerprint
 *     words 16..60   the other three words of each fingerprint
 *
 * So a miss reads 64 adjacent bytes, and an entry costs 17.1 bytes. Fingerprints are uniformly distributed,
 * so their last word chooses the bucket as it is. All 128 bits are compared: a false positive would lose a record.
 * Which slots are taken follows from the number of entries held, so the all-zero fingerprint is one like any other.
 *
 * A full bucket evicts by second chance: the hand goes round the bucket from the oldest entry on, spares (once)
 * what was hit since it last passed, and replaces the first that was not. Buckets fill unevenly: of as many
 * fingerprints as 80, 90 and 100 % of the capacity, 3, 6 and 10 % are evicted early. A lookup takes 0.05 to 0.25 µs.
 */

const ways = 15;
const wordsPerBucket = 64;
const maxBuckets = 2 ** 24;
const fingerprintBytes = 16;

/** Size of the unit in which an index is copied out and in. */
export const bucketBytes = wordsPerBucket * 4;

/** Either the number of fingerprints or the memory in bytes; whole buckets of 15 entries and 256 bytes are allotted. */
export type FingerprintIndexSize = { readonly capacity: number } | { readonly maxBytes: number };

export interface FingerprintIndex {
  /** Fingerprints held. */
  readonly size: number;
  /** Fingerprints that fit when spread perfectly; buckets begin to evict somewhat below it. */
  readonly capacity: number;
  /** Memory held, in bytes; never changes. */
  readonly bytes: number;
  /** Calls of `has`, and how many of them answered true. */
  readonly lookups: number;
  readonly hits: number;
  /** Entries that had to make room for another. */
  readonly evictions: number;

  /**
   * Whether the 16 bytes at `offset` are held. A hit protects the entry from the next eviction.
   * @throws RangeError when the 16 bytes are not all within `bytes`.
   */
  has(bytes: Uint8Array, offset: number): boolean;
  /** Holds the 16 bytes at `offset`; adding again counts as a hit of the entry. Throws as `has` does. */
  add(bytes: Uint8Array, offset: number): void;
  /** Forgets all fingerprints. The counters go on. */
  clear(): void;

  /**
   * Copies buckets from byte `position` on into `target` (both multiples of `bucketBytes`) and returns the bytes
   * copied, 0 at the end. Each copy holds whole fingerprints; changes between two copies show in the later one only.
   */
  copyOut(position: number, target: Uint8Array): number;
  /** Puts buckets copied out of an index of the same capacity back at byte `position`. */
  copyIn(position: number, source: Uint8Array): void;
}

/** @throws RangeError when the size is below one bucket or above 2^24 buckets (4 GiB). */
export function createFingerprintIndex(size: FingerprintIndexSize): FingerprintIndex {
  return new SetAssociativeIndex(bucketCountOf(size));
}

function bucketCountOf(size: FingerprintIndexSize): number {
  const buckets =
    "capacity" in size ? Math.ceil(size.capacity / ways) : Math.floor(size.maxBytes / bucketBytes);
  if (!(buckets >= 1 && buckets <= maxBuckets)) {
    throw new RangeError(`fingerprint index must have 1 to ${maxBuckets} buckets, got ${buckets}`);
  }
  return buckets;
}

class SetAssociativeIndex implements FingerprintIndex {
  readonly capacity: number;
  readonly bytes: number;
  size = 0;
  lookups = 0;
  hits = 0;
  evictions = 0;
  readonly #words: Int32Array;
  readonly #memory: Uint8Array;
  /** Maps an unsigned last word evenly to 0..buckets-1. */
  readonly #bucketsPerWord: number;

  constructor(buckets: number) {
    this.capacity = buckets * ways;
    this.bytes = buckets * bucketBytes;
    // Shared with nobody; but other memory counts as heap for V8, which lets the garbage become as large as what there is to keep.
    const memory = new SharedArrayBuffer(this.bytes);
    this.#words = new Int32Array(memory);
    this.#memory = new Uint8Array(memory);
    this.#bucketsPerWord = buckets / 2 ** 32;
  }

  has(bytes: Uint8Array, offset: number): boolean {
    const base = this.#bucketAt(bytes, offset);
    const way = this.#find(base, bytes, offset);
    this.lookups++;
    if (way === 0) return false;
    this.hits++;
    this.#protect(base, way);
    return true;
  }

  add(bytes: Uint8Array, offset: number): void {
    const words = this.#words;
    const base = this.#bucketAt(bytes, offset);
    const known = this.#find(base, bytes, offset);
    if (known !== 0) {
      this.#protect(base, known);
      return;
    }
    const way = this.#freeWay(base);
    words[base + way] = wordAt(bytes, offset);
    const rest = restOf(base, way);
    words[rest] = wordAt(bytes, offset + 4);
    words[rest + 1] = wordAt(bytes, offset + 8);
    words[rest + 2] = wordAt(bytes, offset + 12);
  }

  clear(): void {
    this.#words.fill(0);
    this.size = 0;
  }

  copyOut(position: number, target: Uint8Array): number {
    const part = this.#memory.subarray(position, position + target.length);
    target.set(part);
    return part.length;
  }

  copyIn(position: number, source: Uint8Array): void {
    const first = position / 4;
    const end = first + source.length / 4;
    this.size -= this.#countEntries(first, end);
    this.#memory.set(source, position);
    this.size += this.#countEntries(first, end);
  }

  /** Where the bucket of the fingerprint begins. */
  #bucketAt(bytes: Uint8Array, offset: number): number {
    if (!(offset >= 0 && offset + fingerprintBytes <= bytes.length)) {
      throw new RangeError(`no ${fingerprintBytes} bytes at offset ${offset} of ${bytes.length}`);
    }
    const bucket = Math.floor((wordAt(bytes, offset + 12) >>> 0) * this.#bucketsPerWord);
    return bucket * wordsPerBucket;
  }

  /** The way (1..15) that holds the fingerprint, 0 if none does. */
  #find(base: number, bytes: Uint8Array, offset: number): number {
    const words = this.#words;
    const first = wordAt(bytes, offset);
    const held = entriesIn(words[base]!);
    for (let way = 1; way <= held; way++) {
      if (words[base + way] !== first) continue;
      const rest = restOf(base, way);
      if (
        words[rest] === wordAt(bytes, offset + 4) &&
        words[rest + 1] === wordAt(bytes, offset + 8) &&
        words[rest + 2] === wordAt(bytes, offset + 12)
      ) {
        return way;
      }
    }
    return 0;
  }

  #protect(base: number, way: number): void {
    const state = this.#words[base]!;
    const flag = 1 << way;
    if ((state & flag) === 0) this.#words[base] = state | flag;
  }

  /** Takes the next empty way, or the one the second chance gives up, and books it as held. */
  #freeWay(base: number): number {
    const state = this.#words[base]!;
    const held = entriesIn(state);
    if (held < ways) {
      this.#words[base] = state + (1 << 20);
      this.size++;
      return held + 1;
    }
    let flags = state & 0xffff;
    let way = ((state >>> 16) & 15) + 1;
    while ((flags & (1 << way)) !== 0) {
      flags &= ~(1 << way);
      way = (way % ways) + 1;
    }
    this.#words[base] = flags | ((way % ways) << 16) | (held << 20);
    this.evictions++;
    return way;
  }

  #countEntries(firstWord: number, endWord: number): number {
    let entries = 0;
    for (let base = firstWord; base < endWord; base += wordsPerBucket) {
      entries += entriesIn(this.#words[base]!);
    }
    return entries;
  }
}

function entriesIn(state: number): number {
  return (state >>> 20) & 15;
}

function restOf(base: number, way: number): number {
  return base + 13 + 3 * way;
}

/** Four bytes at any alignment as a signed word, which is what an `Int32Array` gives back. */
function wordAt(bytes: Uint8Array, offset: number): number {
  return bytes[offset]! | (bytes[offset + 1]! << 8) | (bytes[offset + 2]! << 16) | (bytes[offset + 3]! << 24);
}
