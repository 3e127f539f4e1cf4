import fc from "fast-check";
import { expect, test } from "vitest";
import { Revisions } from "./revisions.ts";

function loadedThrough(through: bigint): Revisions {
  const revisions = new Revisions();
  revisions.loaded(through);
  return revisions;
}

test("knows the last change while none is missing", () => {
  const revisions = loadedThrough(4n);
  expect(revisions.current).toBe(4n);
  revisions.note(5n);
  expect(revisions.current).toBe(5n);
  revisions.note(7n);
  expect(revisions.current).toBeUndefined();
  revisions.note(6n);
  expect(revisions.current).toBe(7n);
});

test("what is loaded anew counts, whatever was missing before", () => {
  const revisions = loadedThrough(0n);
  revisions.note(3n);
  revisions.loaded(9n);
  expect(revisions.current).toBe(9n);
});

test("in whichever order and however often changes come", () => {
  const changes = fc.shuffledSubarray(Array.from({ length: 30 }, (_, i) => i + 1));
  fc.assert(
    fc.property(changes, fc.integer({ min: 0, max: 10 }), (order, loaded) => {
      const revisions = loadedThrough(BigInt(loaded));
      const known = new Set(Array.from({ length: loaded }, (_, i) => i + 1));
      for (const change of [...order, ...order]) {
        revisions.note(BigInt(change));
        known.add(change);
        const highest = Math.max(...known);
        expect(revisions.current).toBe(known.size === highest ? BigInt(highest) : undefined);
      }
    }),
  );
});
