import type { FaultMesh } from "./fault-mesh.ts";
import { untilDrained } from "./judge.ts";
import { type KnownRecord, planRecords } from "./known-records.ts";
import { createRandom, type Random } from "./random.ts";

const CALLS = 10;
const CALL_RECORDS = 50;

/** Calls of one producer, kept so that they can be made once more. */
export interface SentCalls {
  /** Makes ten new calls, and waits until the mesh has worked them off. */
  sendMore(): Promise<void>;
  /** Makes all calls so far again, in their order, and waits as well; or, where the mesh is held up, doesn't. */
  sendAllAgain(options?: { isHeldUp: boolean }): Promise<void>;
}

/** @param name begins the keys of the records */
export function createSentCalls(mesh: FaultMesh, name: string, random: Random): SentCalls {
  const producer = mesh.producers[0]!;
  const plan = planRecords({ name, keys: 60, random: createRandom(random.below(2 ** 31)) });
  const calls: KnownRecord[][] = [];
  return {
    sendMore: async () => {
      for (let call = 0; call < CALLS; call++) {
        calls.push(Array.from({ length: CALL_RECORDS }, () => plan.next().value));
        await producer.send(calls.at(-1)!);
      }
      await untilDrained(mesh);
    },
    sendAllAgain: async ({ isHeldUp } = { isHeldUp: false }) => {
      for (const records of calls) await producer.send(records);
      if (!isHeldUp) await untilDrained(mesh);
    },
  };
}
