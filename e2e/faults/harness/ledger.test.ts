import { create } from "@bufbuild/protobuf";
import { ReceiptSchema, RecordOutcome } from "@chowhound/shared/contracts/chowhound/v1/ingestion_service";
import { expect, test } from "vitest";
import { type Fate, type KnownRecord, knownRecord } from "./known-records.ts";
import { Ledger } from "./ledger.ts";

const place = { sourceType: "note", sourceId: "s", dataId: "d" };
const record = (version: number, fate?: Fate): KnownRecord => knownRecord(place, version, fate);

function receipt(...outcomes: ("ACCEPTED" | "REJECTED")[]) {
  return create(ReceiptSchema, {
    accepted: outcomes.filter((each) => each === "ACCEPTED").length,
    rejected: outcomes.filter((each) => each === "REJECTED").length,
    statuses: outcomes.map((outcome) => ({ outcome: RecordOutcome[outcome], reason: "missing_time" })),
  });
}

test("what has a receipt is certain, what has none is possible", () => {
  const ledger = new Ledger();
  ledger.answered(ledger.sending("t", [record(3), record(1)]), receipt("ACCEPTED", "ACCEPTED"));
  ledger.sending("t", [record(5)]);
  expect(ledger.rows.get("t/note/s/d")).toEqual({ certain: 3, possible: 5 });
  expect([ledger.accepted, ledger.unanswered]).toEqual([2, 1]);
});

test("a dead letter is owed for a record that dies, nothing for one that is refused", () => {
  const ledger = new Ledger();
  const records = [record(1, "dies"), record(2, "rejected"), record(3, "conflicts")];
  ledger.answered(ledger.sending("t", records), receipt("ACCEPTED", "REJECTED", "ACCEPTED"));
  expect([...ledger.letters]).toEqual([["t/d version 1 dies", true]]);
  expect(ledger.rows.size).toBe(0);
  expect([ledger.unanswered, ledger.problems]).toEqual([0, []]);
});

test("a receipt that accepts what must be refused, or refuses what is good, is a problem", () => {
  const ledger = new Ledger();
  const records = [record(1, "rejected"), record(2)];
  ledger.answered(ledger.sending("t", records), receipt("ACCEPTED", "REJECTED"));
  expect(ledger.problems).toHaveLength(2);
});

test("set back, it owes what it owed then", () => {
  const ledger = new Ledger();
  ledger.answered(ledger.sending("t", [record(1)]), receipt("ACCEPTED"));
  const before = ledger.snapshot();
  ledger.answered(ledger.sending("t", [record(2)]), receipt("ACCEPTED"));
  ledger.setBack(before);
  expect(ledger.rows.get("t/note/s/d")).toEqual({ certain: 1, possible: 2 });
  expect(ledger.accepted).toBe(1);
});

test("set back under load, it owes nothing of what is in doubt, also where the receipt comes later", () => {
  const ledger = new Ledger();
  ledger.answered(ledger.sending("t", [record(1)]), receipt("ACCEPTED"));
  const rest = ledger.snapshot();
  ledger.answered(ledger.sending("t", [record(2)]), receipt("ACCEPTED"));
  const underWay = ledger.sending("t", [record(3)]);
  ledger.setBack(rest, { inDoubt: rest });
  ledger.answered(underWay, receipt("ACCEPTED"));
  expect(ledger.rows.get("t/note/s/d")).toEqual({ certain: 1, possible: 3 });
  expect([ledger.accepted, ledger.unanswered, ledger.everAccepted]).toEqual([1, 2, 3]);

  ledger.answered(ledger.sending("t", [record(2)]), receipt("ACCEPTED"));
  expect(ledger.rows.get("t/note/s/d")).toEqual({ certain: 2, possible: 3 });
  expect([ledger.accepted, ledger.unanswered]).toEqual([2, 2]);
});

test("set back to nothing, only what is in doubt may be there", () => {
  const ledger = new Ledger();
  const nothing = ledger.snapshot();
  ledger.answered(ledger.sending("t", [record(1)]), receipt("ACCEPTED"));
  const rest = ledger.snapshot();
  ledger.answered(ledger.sending("t", [record(2)]), receipt("ACCEPTED"));
  ledger.setBack(nothing, { inDoubt: rest });
  expect(ledger.rows.get("t/note/s/d")).toEqual({ certain: 0, possible: 2 });
  expect([ledger.accepted, ledger.unanswered]).toEqual([0, 1]);

  // And to a copy of that: of all since, nobody can tell.
  ledger.answered(ledger.sending("t", [record(2)]), receipt("ACCEPTED"));
  ledger.setBack(nothing, { inDoubt: nothing });
  expect(ledger.rows.get("t/note/s/d")).toEqual({ certain: 0, possible: 2 });
  expect([ledger.accepted, ledger.unanswered]).toEqual([0, 2]);
});
