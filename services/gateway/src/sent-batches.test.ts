import { HASH_BYTES } from "@chowhound/shared/record/content-hash";
import fc from "fast-check";
import { expect, test } from "vitest";
import { SentBatches } from "./sent-batches.ts";

const idOf = (number: number): Buffer => {
  const id = Buffer.alloc(16);
  id.writeUInt32LE(number);
  return id;
};
const fingerprintsOf = (number: number, count: number): Buffer => Buffer.alloc(count * HASH_BYTES, number);

test("gives back what a batch was made of, once", () => {
  const sent = new SentBatches(10);
  sent.add(idOf(1), fingerprintsOf(7, 2));
  expect(sent.take(idOf(2))).toBeUndefined();
  expect(sent.take(idOf(1))).toEqual(fingerprintsOf(7, 2));
  expect(sent.take(idOf(1))).toBeUndefined();
});

test("forgets the oldest batches when there are too many records", () => {
  const sent = new SentBatches(4);
  for (const number of [1, 2, 3]) sent.add(idOf(number), fingerprintsOf(number, 2));
  expect(sent.take(idOf(1))).toBeUndefined();
  expect(sent.take(idOf(2))).toEqual(fingerprintsOf(2, 2));
  sent.add(idOf(4), fingerprintsOf(4, 2));
  expect(sent.take(idOf(3))).toEqual(fingerprintsOf(3, 2));
  expect(sent.take(idOf(4))).toEqual(fingerprintsOf(4, 2));
});

test("a batch that is larger than the room is not kept, and takes nobody's place", () => {
  const sent = new SentBatches(2);
  sent.add(idOf(1), fingerprintsOf(1, 2));
  sent.add(idOf(2), fingerprintsOf(2, 3));
  expect(sent.take(idOf(2))).toBeUndefined();
  expect(sent.take(idOf(1))).toEqual(fingerprintsOf(1, 2));
});

test("whatever is sent and taken: what it gives back is right, and the newest half of the room is there", () => {
  const step = fc.record({ count: fc.integer({ min: 1, max: 10 }), taken: fc.nat({ max: 30 }) });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const capacity = 20;
      const sent = new SentBatches(capacity);
      const counts: number[] = [];
      const wereTaken = new Set<number>();
      for (const { count, taken } of steps) {
        counts.push(count);
        sent.add(idOf(counts.length), fingerprintsOf(counts.length, count));
        const number = Math.max(1, counts.length - taken);
        const since = counts.slice(number - 1).reduce((sum, n) => sum + n, 0);
        const found = sent.take(idOf(number));
        // One that would stand over the end of the ring leaves a gap there, of less than itself.
        if (wereTaken.has(number)) expect(found).toBeUndefined();
        else if (since <= capacity / 2) expect(found).toBeDefined();
        if (found !== undefined) expect(found).toEqual(fingerprintsOf(number, counts[number - 1]!));
        if (found !== undefined) wereTaken.add(number);
      }
    }),
    { numRuns: 500 },
  );
});
