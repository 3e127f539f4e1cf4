import type { FaultMesh } from "./fault-mesh.ts";
import type { Faults } from "./faults.ts";
import { type KnownRecord, padded } from "./known-records.ts";

export const KILLER_SOURCE = { sourceType: "album", sourceId: "shelf" };

/** Joins what a record says to itself, once for each of its pages. */
export const KILLING_STEPS = [
  `- map: { attributes.size: 'string(size(metadata.pages.map(page, data).join("")))' }`,
];

export function withPages(record: KnownRecord, pages: number, padBytes = 0): KnownRecord {
  return {
    ...record,
    init: {
      ...record.init,
      data: padded(record.init.data!, padBytes),
      metadata: { version: record.version, pages: Array(pages).fill(0) },
    },
  };
}

export function countKillers(mesh: FaultMesh): Promise<number> {
  return mesh.withBooks(
    async ({ query }) =>
      (await query("select from dead_letters where reason = 'kills_process' and stage = 'enricher'")).length,
  );
}

/** Starts processes again that end, as a supervisor does. */
export interface Supervisor {
  /** How often one has ended. */
  readonly crashes: number;
  /** Leaves them alone, once all are up. */
  stop(): Promise<void>;
}

export function supervise(
  mesh: FaultMesh,
  faults: Faults,
  processes: readonly string[],
  onCrash: (what: string) => void,
): Supervisor {
  let crashes = 0;
  const crashed = (what: string): void => {
    crashes++;
    onCrash(what);
  };
  /** It may get the batch again before it is ready. */
  const keepStarting = async (process: string): Promise<void> => {
    try {
      await faults.start(process);
    } catch {
      crashed(`${process} ended while it started`);
      await keepStarting(process);
    }
  };
  let restarting: Promise<unknown> = Promise.resolve();
  const watches = processes.map((process) =>
    mesh.process(process).onUnexpectedExit(({ exit }) => {
      crashed(`${process} ended: ${exit.signal ?? exit.code}`);
      restarting = Promise.all([restarting, keepStarting(process)]);
    }),
  );
  return {
    get crashes() {
      return crashes;
    },
    async stop() {
      for (let last: unknown; last !== restarting; ) {
        last = restarting;
        await restarting;
      }
      for (const end of watches) end();
    },
  };
}
