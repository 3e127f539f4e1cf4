import { compareOrder, isSameResult, type Order } from "./record-order.ts";
import type { Verdict } from "./verdict.ts";

/** A record as far as settling needs it. */
export interface Candidate extends Order {
  tenantId: string;
  /** The whole key as one string, equal exactly when the keys are equal; the data_id last, after a U+0000. */
  key: string;
  /** The uuid as text. */
  uuid: string;
}

export interface Settlement<T extends Candidate> {
  /** One verdict per record, in the order given. */
  verdicts: Verdict[];
  /** The records that are to be rows afterwards, where they are not already. */
  winners: T[];
  /** The keys whose present rows have to go: replaced, or moved away from. */
  removals: string[];
  /** Per record, in the order given: it moved its row onto a key that had one, so that the table lost a row. */
  deletions: boolean[];
  /** A row has left its key. What it had replaced there once would be the row now, were it sent again. */
  hasMoved: boolean;
}

/**
 * Decides what becomes of records, one after the other, given the rows that share a key or a uuid with any of them.
 *
 * - A uuid belongs to one key of its tenant. A record whose uuid is stored under another key is a conflict, unless a
 *   newer pipeline derived another key of the same source from the same content: then the row moves.
 * - Of one key, the greatest record is the row.
 */
export function settleRecords<T extends Candidate>(
  rows: readonly Candidate[],
  records: readonly T[],
): Settlement<T> {
  const byKey = new Map<string, Candidate>();
  const byUuid = new Map<string, Candidate>();
  const put = (row: Candidate): void => {
    const replaced = byKey.get(row.key);
    if (replaced !== undefined) byUuid.delete(uuidKey(replaced));
    byKey.set(row.key, row);
    byUuid.set(uuidKey(row), row);
  };
  for (const row of rows) put(row);

  const verdicts: Verdict[] = [];
  const deletions: boolean[] = [];
  const touched = new Set<string>();
  let hasMoved = false;
  for (const record of records) {
    let moved = false;
    const owner = byUuid.get(uuidKey(record));
    if (owner !== undefined && owner.key !== record.key) {
      if (
        sourceOf(owner) !== sourceOf(record) ||
        Buffer.compare(owner.contentHash, record.contentHash) !== 0 ||
        owner.pipelineVersion === record.pipelineVersion
      ) {
        verdicts.push("conflict");
        deletions.push(false);
        continue;
      }
      if (compareOrder(record, owner) < 0) {
        verdicts.push("stale");
        deletions.push(false);
        continue;
      }
      byKey.delete(owner.key);
      byUuid.delete(uuidKey(owner));
      touched.add(owner.key);
      moved = true;
      hasMoved = true;
    }
    const current = byKey.get(record.key);
    deletions.push(moved && current !== undefined);
    if (current !== undefined && compareOrder(record, current) <= 0) {
      verdicts.push(compareOrder(record, current) === 0 && !moved ? "unchanged" : "stale");
      continue;
    }
    touched.add(record.key);
    put(record);
    if (current === undefined) verdicts.push(moved ? "updated" : "stored");
    else verdicts.push(!moved && isSameResult(record, current) ? "unchanged" : "updated");
  }

  const present = new Map(rows.map((row) => [row.key, row]));
  const winners: T[] = [];
  const removals: string[] = [];
  for (const key of touched) {
    const before = present.get(key);
    const after = byKey.get(key);
    if (before === after) continue;
    if (before !== undefined) removals.push(key);
    // What was touched and is not a row from before can only be one of the records.
    if (after !== undefined) winners.push(after as T);
  }
  return { verdicts, winners, removals, deletions, hasMoved };
}

/** No pipeline changes the source: under another one the uuid was given twice. */
function sourceOf({ key }: Candidate): string {
  return key.slice(0, key.lastIndexOf("\0") + 1);
}

function uuidKey(record: Candidate): string {
  return `${record.uuid}/${record.tenantId}`;
}
