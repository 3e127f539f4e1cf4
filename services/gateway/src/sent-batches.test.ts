import { expect, test } from "vitest";
import { SentBatches } from "./sent-batches.ts";

const idOf = (number: number): Buffer => Buffer.alloc(16, number);

test("gives back what a batch was made of, once", () => {
  const sent = new SentBatches(10);
  sent.add(idOf(1), Buffer.alloc(32, 7));
  expect(sent.take(idOf(2))).toBeUndefined();
  expect(sent.take(idOf(1))).toEqual(Buffer.alloc(32, 7));
  expect(sent.take(idOf(1))).toBeUndefined();
});

test("forgets the oldest batches when there are too many records, and counts only what is there", () => {
  const sent = new SentBatches(4);
  for (const number of [1, 2, 3]) sent.add(idOf(number), Buffer.alloc(32, number));
  expect(sent.take(idOf(1))).toBeUndefined();
  expect(sent.take(idOf(2))).toBeDefined();
  sent.add(idOf(4), Buffer.alloc(32, 4));
  expect(sent.take(idOf(3))).toBeDefined();
  expect(sent.take(idOf(4))).toBeDefined();
});

test("a batch that is larger than the room is not kept", () => {
  const sent = new SentBatches(1);
  sent.add(idOf(1), Buffer.alloc(32));
  expect(sent.take(idOf(1))).toBeUndefined();
});
