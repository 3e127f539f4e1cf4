import { deadLettersAt } from "../dead-letter-calls.ts";
import type { FaultMesh } from "../faults/harness/fault-mesh.ts";
import { untilDrained } from "../faults/harness/judge.ts";

/** Why good records may have died: a pipeline or the database refused them for a while. */
export const DETOURS = ["required_field_missing", "value_refused_by_database"];

const MAX_TURNS = 3;
const MAX_IDS = 1_000;

/** Waits until all is booked, and replays what died without being bad, until nothing of that is left. */
export async function settle(mesh: FaultMesh): Promise<void> {
  for (let turn = 0; ; turn++) {
    await untilDrained(mesh);
    const open = await mesh.withBooks(({ query }) =>
      query<{ id: string }>(
        "select batch_id || '/' || ordinal as id from dead_letters where state = 'open' and data_id <> ''",
      ),
    );
    if (open.length === 0 || turn === MAX_TURNS) return;
    const letters = deadLettersAt(mesh.endpoints.admin.store!);
    try {
      for (let from = 0; from < open.length; from += MAX_IDS) {
        const ids = open.slice(from, from + MAX_IDS).map(({ id }) => id);
        await letters.replay({ by: { case: "ids", value: { ids } } });
      }
    } finally {
      letters.close();
    }
  }
}
