import type { AuditReason } from "@chowhound/shared/errors/reasons";
import type { Finding } from "./ledger.ts";

/** What a finding means and what to do about it, for a person; docs/audit.md says more. */
export function explainFinding(finding: Finding): { meaning: string; remedy: string } {
  return { meaning: MEANINGS[finding.reason](finding), remedy: REMEDIES[finding.reason] };
}

const MEANINGS: Record<AuditReason, (finding: Finding) => string> = {
  number_missing: (finding) =>
    finding.first === 1n
      ? `the books begin with number ${finding.last! + 1n}: ${numbers(finding)} of RAW were never booked in this database. ` +
        "It is younger than the stream, restored or wiped; or they are lost"
      : `${numbers(finding)} of RAW ${isOne(finding) ? "was" : "were"} given out and never booked: ` +
        "lost on the way, or booked in a database that was restored since",
  number_reused: (finding) =>
    `${numbers(finding)} ${isOne(finding) ? "was" : "were"} given to more than one batch: RAW was rewound, ` +
    "as by restoring an older copy of its files; what came first may have been lost without being booked",
  number_ahead: ({ expected, found }) =>
    `number ${found} had been given out, and RAW is only at ${expected}: RAW was rewound, as by restoring an older copy of its files`,
  batch_repeated: ({ first, batchIds }) =>
    `number ${first} is a second copy of the batch ${batchIds?.[0]}, which is booked under another number; the copy was skipped`,
  invoice_unbalanced: ({ batchIds = [], expected, found, ...range }) =>
    `the invoice of ${batchIds[0] === undefined ? "the folded" : "the"} ${numbers(range)} says that ${expected} records were accepted, ` +
    `and has ${found} verdicts`,
  totals_unbalanced: ({ expected, found }) =>
    `the totals of the source say that ${expected} records were accepted, and have ${found} verdicts`,
  totals_differ: ({ counter, expected, found }) =>
    `all invoices together have ${expected} ${counter}, all totals ${found}`,
  rows_differ: ({ expected, found }) =>
    found < expected
      ? `${expected - found} rows are missing: something other than the store has deleted them`
      : `${found - expected} rows are too many: something other than the store has added them, or taken booked counts away`,
  letters_differ: ({ expected, found }) =>
    found < expected
      ? `${expected - found} open dead letters are missing: something other than the store has deleted them`
      : `${found - expected} open dead letters are too many: something other than the store has added or opened them`,
};

const RESTORE =
  "restore the tables from a backup, or correct what was changed by hand; it can't be written off";

const REMEDIES: Record<AuditReason, string> = {
  number_missing: "have the producers send that time again, it is harmless; then write the numbers off",
  number_reused:
    "have the producers send again what they sent since that copy; begin a new RAW; then write the numbers off",
  number_ahead:
    "begin a new RAW before more numbers are given out twice; have the producers send again what they sent since that copy; then write the numbers off",
  batch_repeated:
    "find out who publishes into RAW beside the gateways; nothing is lost or doubled; then write the number off",
  invoice_unbalanced: RESTORE,
  totals_unbalanced: RESTORE,
  totals_differ: RESTORE,
  rows_differ: "bring the rows back from a backup, or remove what was added; it can't be written off",
  letters_differ:
    "bring the letters back from a backup; to give letters up, discard them instead of deleting them",
};

function isOne({ first, last }: Finding): boolean {
  return first === last;
}

function numbers({ first, last }: Pick<Finding, "first" | "last">): string {
  return first === last ? `number ${first}` : `numbers ${first} to ${last}`;
}
