import { setTimeout as sleep } from "node:timers/promises";
import type { FaultMesh } from "./fault-mesh.ts";
import { type KnownRecord, planRecords } from "./known-records.ts";
import { waitUntil } from "./patience.ts";
import { createRandom } from "./random.ts";

export interface LoadOptions {
  /** Begins the keys that are written. */
  name: string;
  seed: number;
  /** Producers at the same time, in turn of the mesh's tenants. */
  producers?: number;
  /** How many keys of each source a producer writes, again and again. */
  keys?: number;
  callRecords?: number;
  /** How long a producer rests between two calls. */
  pauseMs?: number;
  /** Makes the records larger. */
  padBytes?: number;
  /** Changes records before they are sent; equal ones in the same way. */
  shape?: (record: KnownRecord) => KnownRecord;
}

/** Producers at work. */
export interface Load {
  readonly name: string;
  /** Waits until so many more records than now are accepted: whatever ailed the door has passed. */
  untilAccepted(more: number): Promise<void>;
  /** Has all that was begun so far sent once more, in the same calls and streams, by the same producers, as fast as they can. */
  sendAgain(): Promise<void>;
  /** They begin nothing new while it lasts. */
  whileResting<T>(action: () => Promise<T>): Promise<T>;
  /** Lets every producer bring what it has begun to its end. Rejects with the first producer's failure. */
  finish(): Promise<void>;
}

/** Starts producers that send calls and streams, hang up in the middle of some, and now and then repeat a call that was answered. */
export function startLoad(mesh: FaultMesh, options: LoadOptions): Load {
  const { producers = 3, keys = 40, callRecords = 25, pauseMs = 40 } = options;
  let isOver = false;
  const produce = async (
    number: number,
    rest: () => Promise<unknown>,
    goesOn: (turn: number) => boolean,
  ): Promise<void> => {
    const random = createRandom(options.seed * 31 + number);
    const producer = mesh.producers[number % mesh.producers.length]!;
    const plan = planRecords({ ...options, name: `${options.name}-${number}`, keys, random });
    const batch = (): KnownRecord[] => Array.from({ length: callRecords }, () => plan.next().value);
    for (let turn = 0; goesOn(turn); turn++) {
      await rest();
      if (random.chance(0.2)) {
        const batches = Array.from({ length: 4 }, batch);
        await producer.stream(batches, random.chance(0.5) ? 1 + random.below(3) : undefined);
      } else {
        const records = batch();
        await producer.send(records);
        if (random.chance(0.1)) await producer.send(records);
      }
    }
  };
  const numbers = Array.from({ length: producers }, (_, number) => number);
  let resting: Promise<unknown> = Promise.resolve();
  const begun = numbers.map(() => 0);
  const running = Promise.all(
    numbers.map((number) =>
      produce(
        number,
        () => Promise.all([sleep(pauseMs), resting]),
        (turn) => {
          if (isOver) return false;
          begun[number] = turn + 1;
          return true;
        },
      ),
    ),
  );
  const failed = running.then(() => {});
  failed.catch(() => {});

  return {
    name: options.name,
    async untilAccepted(more) {
      const { ledger } = mesh;
      const goal = ledger.accepted + more;
      const enough = waitUntil(`${more} more records are accepted`, {
        isDone: async () => ledger.accepted >= goal,
        progress: async () => ledger.accepted,
      });
      await Promise.race([enough, failed]);
    },
    async sendAgain() {
      const turns = [...begun];
      await Promise.all(
        numbers.map((number) =>
          produce(
            number,
            async () => {},
            (turn) => turn < turns[number]!,
          ),
        ),
      );
    },
    async whileResting(action) {
      const acting = action();
      resting = acting.catch(() => {});
      return await acting;
    },
    async finish() {
      isOver = true;
      let isFinished = false;
      const finished = running.then(() => {
        isFinished = true;
      });
      const inTime = waitUntil("all producers have their receipts", {
        isDone: async () => isFinished,
        progress: async () => mesh.ledger.accepted,
      });
      await Promise.all([finished, inTime]);
    },
  };
}
