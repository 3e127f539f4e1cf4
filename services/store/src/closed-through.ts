/** What the books have under one number. */
export interface BookedNumber {
  number: bigint;
  /** Every invoice of it is balanced and old enough. */
  isClosed: boolean;
  invoices: number;
}

export interface Accounts {
  /** Ascending. */
  booked: readonly BookedNumber[];
  /** Numbers of batches that were skipped as copies. */
  repeated: ReadonlySet<bigint>;
  /** Numbers that were written off as missing. */
  missing: readonly { first: bigint; last: bigint }[];
  /** Numbers that were written off as given out twice. */
  reused: readonly { first: bigint; last: bigint }[];
}

/**
 * How far the numbers above `through` can be folded, and how many invoices that is: up to the first that is missing, given
 * out twice, unbalanced or too young, unless it is written off.
 */
export function closedThrough(
  through: bigint,
  { booked, repeated, missing, reused }: Accounts,
): { through: bigint; invoices: number } {
  let invoices = 0;
  let last = through;
  let index = 0;
  for (;;) {
    const next = last + 1n;
    const found = booked[index];
    if (found?.number === next) {
      const isAlone = found.invoices === 1 && !repeated.has(next);
      if (!found.isClosed || !(isAlone || isWithin(next, reused))) break;
      invoices += found.invoices;
      index++;
      last = next;
    } else if (repeated.has(next)) {
      last = next;
    } else {
      const gap = missing.find((range) => next >= range.first && next <= range.last);
      if (gap === undefined) break;
      // Not past an invoice that is there in spite of it.
      const end = found !== undefined && found.number <= gap.last ? found.number - 1n : gap.last;
      last = end;
    }
  }
  return { through: last, invoices };
}

function isWithin(number: bigint, ranges: readonly { first: bigint; last: bigint }[]): boolean {
  return ranges.some(({ first, last }) => number >= first && number <= last);
}
