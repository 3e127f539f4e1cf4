import { describe, expect, it } from "vitest";
import { InsertGuess } from "./insert-guess.ts";

function guessAfter(...groups: readonly ("new" | "known" | "wrong" | "right")[]): boolean {
  const guess = new InsertGuess();
  for (const group of groups) {
    if (group === "wrong") guess.wasWrong();
    else if (group === "right") guess.wasRight();
    else guess.sawGroup(group === "new");
  }
  return guess.isNew;
}

describe("the guess that keys are new", () => {
  it("begins with no", () => expect(guessAfter()).toBe(false));
  it("is yes after a group of new keys, and stays", () => {
    expect(guessAfter("new")).toBe(true);
    expect(guessAfter("new", "right", "right")).toBe(true);
  });
  it("is no after a group that had a known one", () => expect(guessAfter("new", "known")).toBe(false));
  it("asks for more evidence after each error", () => {
    expect(guessAfter("new", "wrong", "new")).toBe(false);
    expect(guessAfter("new", "wrong", "new", "new")).toBe(true);
    expect(guessAfter("new", "wrong", "new", "new", "wrong", "new", "new", "new")).toBe(false);
  });
  it("trusts again after having been right", () =>
    expect(guessAfter("new", "wrong", "new", "new", "right", "known", "new")).toBe(true));
  it("never gives up", () => {
    const errors = Array.from({ length: 50 }, () => "wrong" as const);
    const news = Array.from({ length: 64 }, () => "new" as const);
    expect(guessAfter(...errors, ...news)).toBe(true);
  });
});
