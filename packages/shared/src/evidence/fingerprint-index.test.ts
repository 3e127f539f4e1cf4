import { createHash } from "node:crypto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { bucketBytes, createFingerprintIndex } from "./fingerprint-index.ts";

const ways = 15;

function fingerprint(seed: number | string): Uint8Array {
  return createHash("sha256").update(String(seed)).digest().subarray(0, 16);
}

/** Few values per byte, so that generated fingerprints collide in single words and share buckets. */
const collidingFingerprint = fc
  .array(fc.constantFrom(0, 1, 0xff), { minLength: 16, maxLength: 16 })
  .map((bytes) => Uint8Array.from(bytes));

const operation = fc.record({
  kind: fc.constantFrom("add", "add", "has", "clear-rarely"),
  key: fc.oneof(collidingFingerprint, fc.nat(60).map(fingerprint)),
  shift: fc.nat(7),
  dice: fc.nat(9),
});

/** Places the fingerprint at an offset that is not a multiple of 4, between bytes that are not part of it. */
function shifted(key: Uint8Array, shift: number): Uint8Array {
  const bytes = new Uint8Array(shift + 16 + 3).fill(0xaa);
  bytes.set(key, shift);
  return bytes;
}

describe("fingerprint index", () => {
  it("never reports what was not added, holds every fingerprint once, and keeps its memory", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 60 }),
        fc.array(operation, { maxLength: 300 }),
        (capacity, ops) => {
          const index = createFingerprintIndex({ capacity });
          const { bytes } = index;
          const added = new Set<string>();
          let insertions = 0;
          for (const { kind, key, shift, dice } of ops) {
            const text = Buffer.from(key).toString("hex");
            const column = shifted(key, shift);
            if (kind === "add") {
              if (!index.has(column, shift)) insertions++;
              index.add(column, shift);
              added.add(text);
              expect(index.has(column, shift)).toBe(true);
            } else if (kind === "has") {
              if (index.has(column, shift)) expect(added).toContain(text);
            } else if (dice === 0) {
              insertions -= index.size;
              index.clear();
              added.clear();
            }
          }
          const held = [...added].filter((text) => index.has(Buffer.from(text, "hex"), 0));
          expect(held).toHaveLength(index.size);
          expect(index.size).toBe(insertions - index.evictions);
          expect(index.size).toBeLessThanOrEqual(index.capacity);
          expect(index.bytes).toBe(bytes);
        },
      ),
    );
  });

  it("holds everything as long as no bucket is full", () => {
    fc.assert(
      fc.property(fc.uniqueArray(collidingFingerprint, { maxLength: ways, selector: String }), (keys) => {
        const index = createFingerprintIndex({ capacity: ways });
        for (const key of keys) index.add(key, 0);
        expect(keys.every((key) => index.has(key, 0))).toBe(true);
        expect(index).toMatchObject({ size: keys.length, evictions: 0 });
      }),
    );
  });

  it("takes fingerprints that differ in one bit only for different ones", () => {
    for (const base of [new Uint8Array(16), fingerprint("base")]) {
      const index = createFingerprintIndex({ capacity: 1000 });
      index.add(base, 0);
      for (let bit = 0; bit < 128; bit++) {
        const other = Uint8Array.from(base);
        other[bit >> 3]! ^= 1 << (bit & 7);
        expect(index.has(other, 0)).toBe(false);
      }
    }
  });

  it("has no all-zero fingerprint until it is added", () => {
    const index = createFingerprintIndex({ capacity: 100 });
    const zero = new Uint8Array(16);
    expect(index.has(zero, 0)).toBe(false);
    index.add(zero, 0);
    expect(index.has(zero, 0)).toBe(true);
    index.clear();
    expect(index.has(zero, 0)).toBe(false);
  });

  it("evicts the oldest of a bucket that were not hit, in order", () => {
    const index = createFingerprintIndex({ capacity: ways });
    const column = Buffer.concat(Array.from({ length: 40 }, (_, i) => fingerprint(i)));
    for (let i = 0; i < ways; i++) index.add(column, i * 16);
    for (const hit of [0, 1, 2]) index.has(column, hit * 16);
    for (let i = ways; i < ways + 12; i++) index.add(column, i * 16);
    const held = Array.from({ length: 40 }, (_, i) => i).filter((i) => index.has(column, i * 16));
    expect(held).toEqual([0, 1, 2, ...Array.from({ length: 12 }, (_, i) => ways + i)]);
    expect(index.evictions).toBe(12);
  });

  it("still takes new fingerprints when every entry was just hit", () => {
    const index = createFingerprintIndex({ capacity: ways });
    for (let i = 0; i < ways; i++) index.add(fingerprint(i), 0);
    for (let i = 0; i < ways; i++) index.has(fingerprint(i), 0);
    index.add(fingerprint("new"), 0);
    expect(index.has(fingerprint("new"), 0)).toBe(true);
    expect(index.has(fingerprint(0), 0)).toBe(false);
    expect(index.size).toBe(ways);
  });

  it("keeps what is asked for again and again through a flood of ten times its capacity", () => {
    const index = createFingerprintIndex({ capacity: 3000 });
    const favourites = Array.from({ length: 300 }, (_, i) => fingerprint(`favourite ${i}`));
    for (const key of favourites) index.add(key, 0);
    for (let i = 0; i < 30_000; i++) {
      index.add(fingerprint(i), 0);
      if (i % 300 === 0) for (const key of favourites) index.has(key, 0);
    }
    const kept = favourites.filter((key) => index.has(key, 0)).length;
    expect(kept).toBeGreaterThanOrEqual(297);
  });

  it("spreads fingerprints so that few are evicted before it is full", () => {
    const index = createFingerprintIndex({ capacity: 50_000 });
    for (let i = 0; i < index.capacity * 0.8; i++) index.add(fingerprint(i), 0);
    expect(index.evictions / index.size).toBeLessThan(0.05);
  });

  it("counts lookups and hits", () => {
    const index = createFingerprintIndex({ capacity: 100 });
    index.add(fingerprint(1), 0);
    index.has(fingerprint(1), 0);
    index.has(fingerprint(2), 0);
    expect(index).toMatchObject({ lookups: 2, hits: 1, size: 1 });
  });

  it("costs at most 24 bytes per fingerprint, and no more than it may", () => {
    const index = createFingerprintIndex({ maxBytes: 1_000_000 });
    expect(index.bytes).toBeLessThanOrEqual(1_000_000);
    expect(index.bytes / index.capacity).toBeLessThan(24);
    expect(createFingerprintIndex({ capacity: 1000 }).capacity).toBeGreaterThanOrEqual(1000);
  });

  it("refuses sizes it cannot have and offsets outside the bytes", () => {
    for (const size of [{ capacity: 0 }, { capacity: Number.NaN }, { capacity: 1e9 }, { maxBytes: 255 }]) {
      expect(() => createFingerprintIndex(size)).toThrow(RangeError);
    }
    const index = createFingerprintIndex({ capacity: 1 });
    expect(() => index.has(new Uint8Array(31), 16)).toThrow(RangeError);
    expect(() => index.add(new Uint8Array(32), -1)).toThrow(RangeError);
  });

  it("is copied out and in, whole or in parts", () => {
    const original = createFingerprintIndex({ capacity: 1000 });
    for (let i = 0; i < 1000; i++) original.add(fingerprint(i), 0);
    const copy = createFingerprintIndex({ capacity: 1000 });
    for (let i = 0; i < 500; i++) copy.add(fingerprint(`other ${i}`), 0);

    const part = new Uint8Array(7 * bucketBytes);
    for (let position = 0; position < original.bytes; ) {
      const copied = original.copyOut(position, part);
      copy.copyIn(position, part.subarray(0, copied));
      position += copied;
    }
    expect(original.copyOut(original.bytes, part)).toBe(0);
    expect(copy.size).toBe(original.size);
    for (let i = 0; i < 1000; i++) {
      expect(copy.has(fingerprint(i), 0)).toBe(original.has(fingerprint(i), 0));
      expect(copy.has(fingerprint(`other ${i}`), 0)).toBe(false);
    }
  });
});
