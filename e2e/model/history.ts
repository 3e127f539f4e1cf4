import fc from "fast-check";
import { findTroubles } from "./expectations.ts";
import type { SentCall, SentRecord } from "./model-gateway.ts";
import { type HistoryEvent, ModelMesh } from "./model-mesh.ts";
import { CHANGING_IDENTITY, SAME_IDENTITY } from "./model-pipelines.ts";
import type { Rules } from "./rules.ts";

/** What is sent, and what happens to it. */
export interface History {
  calls: readonly SentCall[];
  events: readonly HistoryEvent[];
  /** False: several keys are sent under one uuid, and which of them gets it depends on who comes first. */
  uuidsNameOneKey: boolean;
  /** Pipelines give records other keys, each known by a uuid of its own; in the end the source sends everything again, twice. */
  changesIdentity?: boolean;
}

type Kind = Required<Pick<History, "uuidsNameOneKey" | "changesIdentity">>;

const KINDS: Kind[] = [
  { uuidsNameOneKey: true, changesIdentity: false },
  { uuidsNameOneKey: false, changesIdentity: false },
  { uuidsNameOneKey: true, changesIdentity: true },
];
const KEYS = 3;
const UUIDS_OF_A_KEY = 2;

function callsWhere({ uuidsNameOneKey, changesIdentity }: Kind): fc.Arbitrary<SentCall[]> {
  const record = fc
    .record({
      key: fc.oneof(
        { weight: 1, arbitrary: fc.constant(0) },
        { weight: 9, arbitrary: fc.integer({ min: 1, max: KEYS }) },
      ),
      version: fc.integer({ min: 1, max: 3 }),
      content: fc.integer({ min: 1, max: 3 }),
      twin: fc.integer({ min: 0, max: UUIDS_OF_A_KEY }),
    })
    .map(
      ({ key, version, content, twin }): SentRecord => ({
        key,
        version,
        content,
        uuid: changesIdentity
          ? 1_000 + key * 100 + version * 10 + content
          : twin === 0 || !uuidsNameOneKey
            ? twin
            : key * 10 + twin,
      }),
    );
  const call = fc.record({
    tenant: fc.integer({ min: 0, max: 1 }),
    records: fc.array(record, { minLength: 1, maxLength: 4 }),
  });
  return fc.array(call, { minLength: 1, maxLength: 5 });
}

function eventsWith(
  faults: readonly (readonly [weight: number, kind: HistoryEvent["kind"]])[],
): fc.Arbitrary<HistoryEvent[]> {
  const kinds: (readonly [number, HistoryEvent["kind"]])[] = [[70, "go on"], [10, "send"], ...faults];
  const event = fc.record({
    kind: fc.oneof(...kinds.map(([weight, kind]) => ({ weight, arbitrary: fc.constant(kind) }))),
    pick: fc.nat({ max: 999 }),
  });
  return fc.array(event, { maxLength: 150, size: "max" });
}

/** @param isRestored whether the database is restored now and then; what a real one goes through can then not be replayed */
export function histories({ isRestored = true } = {}): fc.Arbitrary<History> {
  const events = eventsWith([
    [4, "kill"],
    [3, "redeliver"],
    [2, "lose a notice"],
    [2, "double a notice"],
    [2, "lose an answer"],
    [1, "change the pipeline"],
    ...(isRestored
      ? ([
          [1, "back up"],
          [1, "restore"],
          [1, "restart the database"],
        ] as const)
      : []),
  ]);
  return fc
    .constantFrom(...KINDS)
    .chain((kind) =>
      fc.record({ calls: callsWhere(kind), events }).map((history) => ({ ...history, ...kind })),
    );
}

/** Lets a history happen and the mesh come to rest. Returns it with what is wrong with it then. */
export async function live(
  history: History,
  rules?: Rules,
): Promise<{ mesh: ModelMesh; troubles: string[] }> {
  const { calls, events, changesIdentity } = history;
  const mesh = new ModelMesh(calls, rules, changesIdentity ? CHANGING_IDENTITY : SAME_IDENTITY);
  for (const event of events) await mesh.happen(event);
  await mesh.settle();
  if (changesIdentity) {
    // Once for rows to find their keys, and once for what is the row of a key that another one has left.
    await mesh.sendAllAgain();
    await mesh.sendAllAgain();
  }
  return { mesh, troubles: findTroubles(mesh, history) };
}
