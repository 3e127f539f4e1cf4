import type { FaultMesh } from "../faults/harness/fault-mesh.ts";
import type { LedgerSnapshot } from "../faults/harness/ledger.ts";
import type { Load } from "../faults/harness/load.ts";

/** When all was booked for the last time, and what there is to send again of what was sent since. */
export interface Rest {
  /** What is owed to producers whose database is new. */
  nothing: LedgerSnapshot;
  /** What the producers knew at the time. */
  owed: LedgerSnapshot;
  /** The last number that RAW had given out. */
  lastNumber: number;
  /** What producers send, or have sent, since. */
  loads: Load[];
}

/** The database is new: a backup that is made of it has nothing of what was booked until then. */
export function forgetWhatWasOwed(rest: Rest): void {
  rest.owed = rest.nothing;
  rest.lastNumber = 0;
}

export async function takeRest(mesh: FaultMesh, nothing: LedgerSnapshot): Promise<Rest> {
  const { raw } = await mesh.streams();
  return { nothing, owed: mesh.ledger.snapshot(), lastNumber: raw.lastSequence, loads: [] };
}
