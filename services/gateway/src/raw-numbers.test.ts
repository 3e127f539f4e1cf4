import { expect, test } from "vitest";
import { RawNumbers } from "./raw-numbers.ts";

function acknowledged(...sequences: number[]): RawNumbers {
  const numbers = new RawNumbers();
  numbers.found(1n);
  for (const sequence of sequences) numbers.noteAcknowledged(numbers.acknowledged, sequence);
  return numbers;
}

test("knows the highest number that was acknowledged", () => {
  expect(new RawNumbers().acknowledged).toBeUndefined();
  expect(acknowledged().acknowledged).toEqual({ epoch: 1n, sequence: 0 });
  expect(acknowledged(3, 7, 5).acknowledged).toEqual({ epoch: 1n, sequence: 7 });
});

test("acknowledgements that overtake each other are no rewind", () => {
  const numbers = acknowledged(3);
  const before = numbers.acknowledged;
  expect([5, 4].map((sequence) => numbers.noteAcknowledged(before, sequence))).toEqual([false, false]);
  expect(numbers.found(1n)).toBeUndefined();
});

test("a number that had been acknowledged before the batch was sent is one, and told once", () => {
  const numbers = acknowledged(3, 10);
  expect(numbers.noteAcknowledged(numbers.acknowledged, 4)).toBe(true);
  expect(numbers.found(1n)).toBe(10);
  // Batches go on saying what they know: the books have to learn of each number.
  expect(numbers.acknowledged).toEqual({ epoch: 1n, sequence: 10 });
  expect(numbers.noteAcknowledged(numbers.acknowledged, 5)).toBe(false);
  expect(numbers.found(1n)).toBeUndefined();
  // Further on, and back again.
  numbers.noteAcknowledged(numbers.acknowledged, 11);
  expect(numbers.noteAcknowledged(numbers.acknowledged, 4)).toBe(false);
  expect(numbers.noteAcknowledged(numbers.acknowledged, 11)).toBe(true);
  expect(numbers.found(1n)).toBe(11);
});

test("a RAW that was made anew begins again with 1, and what was sent to the one before counts for neither", () => {
  const numbers = acknowledged(10);
  const before = numbers.acknowledged;
  expect(numbers.noteAcknowledged(before, 1)).toBe(true);
  expect(numbers.found(2n)).toBeUndefined();
  expect(numbers.noteAcknowledged(before, 2)).toBe(false);
  expect(numbers.acknowledged).toEqual({ epoch: 2n, sequence: 0 });
  expect(numbers.noteAcknowledged(numbers.acknowledged, 3)).toBe(false);
  expect(numbers.acknowledged).toEqual({ epoch: 2n, sequence: 3 });
});
