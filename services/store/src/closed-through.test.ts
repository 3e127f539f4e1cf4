import { describe, expect, it } from "vitest";
import { type Accounts, type BookedNumber, closedThrough } from "./closed-through.ts";

const booked = (...numbers: (number | Partial<BookedNumber>)[]): BookedNumber[] =>
  numbers.map((one) =>
    typeof one === "number"
      ? { number: BigInt(one), isClosed: true, invoices: 1 }
      : { number: 0n, isClosed: true, invoices: 1, ...one },
  );
const range = (first: number, last: number) => [{ first: BigInt(first), last: BigInt(last) }];

function through(from: number, accounts: Partial<Omit<Accounts, "repeated">> & { repeated?: number[] }) {
  const { repeated = [], ...rest } = accounts;
  const all = { booked: [], missing: [], reused: [], ...rest, repeated: new Set(repeated.map(BigInt)) };
  const result = closedThrough(BigInt(from), all);
  return [Number(result.through), result.invoices];
}

describe("closedThrough", () => {
  it.each<[string, number, Parameters<typeof through>[1], [number, number]]>([
    ["nothing", 0, {}, [0, 0]],
    ["all in a row", 0, { booked: booked(1, 2, 3) }, [3, 3]],
    ["on from the last step", 7, { booked: booked(8, 9) }, [9, 2]],
    ["up to the first that is missing", 0, { booked: booked(1, 2, 4) }, [2, 2]],
    ["nothing where the first is missing", 0, { booked: booked(2, 3) }, [0, 0]],
    [
      "up to an open one",
      0,
      { booked: [...booked(1), ...booked({ number: 2n, isClosed: false }, 3)] },
      [1, 1],
    ],
    ["up to one given out twice", 0, { booked: booked(1, { number: 2n, invoices: 2 }, 3) }, [1, 1]],
    ["up to one given to a copy, too", 0, { booked: booked(1, 2, 3), repeated: [2] }, [1, 1]],
    ["over repeats", 0, { booked: booked(1, 3), repeated: [2, 4] }, [4, 2]],
    ["over what was written off as missing", 0, { booked: booked(1, 5), missing: range(2, 4) }, [5, 2]],
    [
      "over what was written off and booked since",
      0,
      { booked: booked(1, 3, 5), missing: range(2, 4) },
      [5, 3],
    ],
    [
      "over what was written off as given out twice",
      0,
      { booked: booked(1, { number: 2n, invoices: 2 }, 3), reused: range(2, 2) },
      [3, 4],
    ],
  ])("folds %s", (_, from, accounts, expected) => {
    expect(through(from, accounts)).toEqual(expected);
  });
});
