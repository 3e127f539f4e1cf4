/** A piece of a service's work that is measured alone, in this process. */
export interface Piece {
  name: string;
  /** What its cost is told for. */
  per: "record" | "call";
  /** Does the work once. Returns how many records, or calls, that was. */
  run(): number | Promise<number>;
}
