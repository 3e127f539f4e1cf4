import { verdicts } from "@chowhound/local/books";

/** The books and what they must agree with, as one snapshot of the database. */
export interface Audit {
  accepted: number;
  /** Sum of all verdicts. */
  booked: number;
  /** Invoices whose verdicts don't add up. */
  unbalanced: number;
  rows: number;
  /** Stored less deleted, by the totals. */
  rows_by_totals: number;
  dead_letters: number;
  dead_lettered: number;
}

const sumOfVerdicts = verdicts.join(" + ");

export const auditSql = `
  select
    (select coalesce(sum(accepted), 0)::int from invoices) as accepted,
    (select coalesce(sum(${sumOfVerdicts}), 0)::int from invoices) as booked,
    (select count(*)::int from invoices where accepted <> ${sumOfVerdicts}) as unbalanced,
    (select count(*)::int from records) as rows,
    (select coalesce(sum(stored - deleted), 0)::int from totals) as rows_by_totals,
    (select count(*)::int from dead_letters) as dead_letters,
    (select coalesce(sum(dead_lettered), 0)::int from invoices) as dead_lettered`;

/** Throws where the books are wrong: they must be right at any moment, under load too. */
export function expectClosedBooks(audit: Audit): void {
  const { accepted, booked, unbalanced, rows, rows_by_totals, dead_letters, dead_lettered } = audit;
  const isClosed =
    booked === accepted && unbalanced === 0 && rows === rows_by_totals && dead_letters === dead_lettered;
  if (!isClosed) throw new Error(`the books are wrong: ${JSON.stringify(audit)}`);
}
