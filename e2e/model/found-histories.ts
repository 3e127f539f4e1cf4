import type { History } from "./history.ts";
import type { HistoryEvent } from "./model-mesh.ts";

/**
 * Histories that once ended badly, each shrunk to what it takes. They are tried first, every time. What `pick` means
 * depends on what can happen at that point, so a change of the model may make one of them harmless: the mutants tell.
 */

const goOn = (...picks: number[]): HistoryEvent[] => picks.map((pick) => ({ kind: "go on", pick }));

/**
 * An enricher is killed between publishing and acknowledging, so there are two copies of one batch. The first is
 * committed; from the second dedup drops the record. The database is restored to before both, and the second copy books
 * the batch, empty. Then the record is sent again.
 */
export const BOOKED_ANEW_AND_EMPTY: History = {
  calls: [{ tenant: 0, records: [{ key: 1, version: 1, content: 1, uuid: 0 }] }],
  events: [
    { kind: "send", pick: 0 },
    ...goOn(0, 0, 0, 0, 0),
    { kind: "kill", pick: 1 },
    ...goOn(0, 1, 3, 602, 497, ...Array.from({ length: 11 }, () => 0)),
    { kind: "restore", pick: 0 },
  ],
  uuidsNameOneKey: true,
};

/**
 * The same, but before the record is sent again the database restarts: the empty booking is then of an earlier generation,
 * as if it had been in the backup.
 */
export const BOOKED_ANEW_BEFORE_A_RESTART: History = {
  ...BOOKED_ANEW_AND_EMPTY,
  events: [
    ...BOOKED_ANEW_AND_EMPTY.events,
    ...goOn(...Array.from({ length: 10 }, () => 0)),
    { kind: "restart the database", pick: 0 },
  ],
};

/**
 * A record is sent a second time, and dropped, rightly: it has landed. Its second batch is on its way, empty, when the database is
 * restored to before both, and is booked there. Who took all that it accepted for landed would drop the record when it is sent again.
 */
export const BOOKED_WITHOUT_WHAT_WAS_DROPPED: History = {
  ...BOOKED_ANEW_AND_EMPTY,
  events: [
    { kind: "send", pick: 0 },
    ...goOn(...Array.from({ length: 15 }, () => 0)),
    { kind: "send", pick: 0 },
    ...goOn(0),
    { kind: "send", pick: 0 },
    ...goOn(...Array.from({ length: 18 }, () => 0)),
    { kind: "restore", pick: 0 },
    ...goOn(17, 0),
  ],
};

/**
 * Two records have one key; a change of the identity rule gives the younger one another. The source sends both again, the older one
 * first: it is still replaced, and reported so. Then the younger one moves, and nobody has the row of the key it has left
 * but the source, which sends everything once more.
 */
export const REPLACED_UNDER_A_KEY_THAT_IS_LEFT: History = {
  calls: [
    { tenant: 0, records: [{ key: 1, version: 1, content: 3, uuid: 1 }] },
    { tenant: 0, records: [{ key: 1, version: 2, content: 1, uuid: 2 }] },
  ],
  events: [
    { kind: "change the pipeline", pick: 0 },
    { kind: "change the pipeline", pick: 0 },
  ],
  uuidsNameOneKey: true,
  changesIdentity: true,
};
