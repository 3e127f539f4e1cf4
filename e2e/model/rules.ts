import type { Candidate } from "../../services/store/src/settle-records.ts";

/** The rules that keep the books closed and the table whole, each of which a mutant can break. */
export interface Rules {
  /** A stage acknowledges upstream after it has published, the store after it has committed. */
  acknowledges: "afterwards" | "beforehand";
  /** What dedup takes for evidence: what the store reports committed, or what it has itself passed on. */
  evidence: "committed" | "published";
  /** Whether dedup drops only on the word of the database that it has now. */
  asksTheDatabase: boolean;
  /** Whether the gateway drops only on the word of the database that it has now. */
  gatewayAsksTheDatabase: boolean;
  /** Whether it drops only what the pipelines that are in force now have processed. */
  gatewayKnowsThePipelines: boolean;
  /**
   * Which bookings of a batch show that the database carries the history on in which it was reported: under the generation
   * of the report, under another one than now, or any.
   */
  countsBookings: "as reported" | "from before" | "any";
  /** Whether dedup forgets what it knows when rows have moved to other keys. */
  forgetsAfterMoves: boolean;
  /** Which records of a batch the store reports committed: those that it has written, or all that it has booked. */
  reports: "written" | "booked";
  /** Whether the store claims a batch by its id and skips one that it has. */
  claims: boolean;
  /** How the store sees a record when it compares it with others. */
  ordersBy(record: Candidate): Candidate;
}

export const REAL_RULES: Rules = {
  acknowledges: "afterwards",
  evidence: "committed",
  asksTheDatabase: true,
  gatewayAsksTheDatabase: true,
  gatewayKnowsThePipelines: true,
  countsBookings: "as reported",
  forgetsAfterMoves: true,
  reports: "written",
  claims: true,
  ordersBy: (record) => record,
};
