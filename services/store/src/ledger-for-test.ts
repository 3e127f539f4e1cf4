import type { Examination, Finding, Ledger, RawNumbers } from "./ledger.ts";

/** Audits the database as if RAW had given out `mark.last` numbers, and `raw` by now. */
export async function examine(
  ledger: Ledger,
  mark: RawNumbers,
  raw: RawNumbers = mark,
): Promise<Examination> {
  const examining = ledger.examine({
    mark,
    readRaw: async () => raw,
    tenantId: undefined,
    maxFindings: 100,
    signal: new AbortController().signal,
  });
  let step = await examining.next();
  while (!step.done) step = await examining.next();
  return step.value;
}

/** A finding in short: "number_missing 3-4: batches 2/0", "rows_differ acme forum/town-square: rows 3/2" (expected/found). */
export function inShort({
  reason,
  first,
  last,
  tenantId,
  sourceType,
  sourceId,
  ...finding
}: Finding): string {
  const numbers = first === undefined ? "" : first === last ? ` ${first}` : ` ${first}-${last}`;
  const source = sourceType === undefined ? "" : ` ${sourceType}/${sourceId}`;
  const where = tenantId === undefined ? "" : ` ${tenantId}${source}`;
  return `${reason}${numbers}${where}: ${finding.counter} ${finding.expected}/${finding.found}`;
}
