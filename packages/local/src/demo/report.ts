import { type AuditReport, AuditVerdict } from "@chowhound/shared/contracts/chowhound/v1/audit_service";
import type { BookKeeper, Books } from "../books.ts";
import { verdictMeanings, verdicts } from "../books.ts";
import { deprecation, outdatedText } from "./package-records.ts";

/** The books: how many records of which verdict. */
export function showBooks(books: Books, rejected: number): string {
  const sum = verdicts.reduce((total, verdict) => total + books[verdict], 0);
  const line = (name: string, number: number, meaning: string): string =>
    `  ${name.padEnd(14)} ${String(number).padStart(6)}  ${meaning}`.trimEnd();
  return [
    "The books",
    line(
      "accepted",
      books.accepted,
      `in ${books.invoices} batches (${rejected} more were rejected at the door)`,
    ),
    ...verdicts.map((verdict) => line(verdict, books[verdict], verdictMeanings[verdict])),
    line("sum", sum, sum === books.accepted ? "= accepted" : "IS NOT WHAT WAS ACCEPTED"),
  ].join("\n");
}

/** What the mesh's own audit says, as `chow audit` does. */
export function showAudit({ verdict, lastNumber, total, findingCount }: AuditReport): string {
  const found =
    verdict === AuditVerdict.CLOSED
      ? `closed: ${lastNumber} batches given out and each booked once; ${total?.rows} rows and ${total?.openDeadLetters} dead letters, as booked`
      : verdict === AuditVerdict.STALLED
        ? "stalled"
        : `BROKEN: ${findingCount} findings`;
  return `The audit (chow audit)\n  ${found}`;
}

/** A few rows, and what the pipeline has made of them. */
export async function showRows(keeper: BookKeeper): Promise<string> {
  const rows = await keeper.query<{ title: string; license: string; lang: string; characters: number }>(`
    select attributes->>'title' as title, attributes->>'license' as license, lang, length(data) as characters
    from records order by length(data) desc, data_id limit 5`);
  const [facts] = await keeper.query<{ rows: number; redacted: number }>(`
    select count(*)::int as rows,
      (count(*) filter (where data like '%[redacted]%' or metadata::text like '%[redacted]%'))::int as redacted
    from records`);
  const languages = await keeper.query<{ lang: string; rows: number }>(
    "select coalesce(nullif(lang, ''), 'unclear') as lang, count(*)::int as rows from records group by 1 order by 2 desc",
  );
  return [
    `${facts?.rows} rows; e-mail addresses were redacted in ${facts?.redacted}; languages: ${languages.map(({ lang, rows }) => `${lang} ${rows}`).join(", ")}. The longest:`,
    ...rows.map(
      ({ title, license, lang, characters }) =>
        `  ${title.padEnd(32)} ${license.padEnd(14)} ${(lang || "?").padEnd(3)} README of ${characters} characters`,
    ),
  ].join("\n");
}

export async function showDeadLetters(keeper: BookKeeper): Promise<string> {
  const letters = await keeper.query<Record<"stage" | "reason" | "detail" | "source", string>>(`
    select stage, reason, detail, source_type || ' from ' || source_id as source from dead_letters limit 5`);
  return [
    "Dead letters, kept whole",
    ...letters.map(({ stage, reason, detail, source }) => `  ${source}: ${reason} at ${stage}: ${detail}`),
  ].join("\n");
}

/** Newest wins: looks for rows of the changed packages, and for what came late. Returns what is wrong. */
export async function checkRows(keeper: BookKeeper, changed: number): Promise<string[]> {
  const [found] = await keeper.query<{ changed: number; outdated: number }>(
    `select (count(*) filter (where metadata->>'deprecated' = $1))::int as changed,
       (count(*) filter (where data = $2))::int as outdated from records`,
    [deprecation, outdatedText],
  );
  const problems: string[] = [];
  if (found?.changed !== changed)
    problems.push(`rows with the newest content: ${found?.changed}, expected ${changed}`);
  if (found?.outdated !== 0) problems.push(`rows with outdated content: ${found?.outdated}, expected 0`);
  return problems;
}
