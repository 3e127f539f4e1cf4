import { setTimeout as sleep } from "node:timers/promises";
import { planRecords } from "./harness/known-records.ts";
import { createRandom } from "./harness/random.ts";
import type { Scenario } from "./harness/scenario.ts";

const BATCHES = 8;
const BATCH_RECORDS = 20;

export const scenario: Scenario = {
  title:
    "streams of producers are cut (RST) at any point, again and again; what has no receipt is sent again",
  isFast: true,
  async run({ mesh, faults, random, recovered, isFull }) {
    const streams = isFull ? 40 : 3;
    const produce = async (number: number): Promise<void> => {
      const plan = planRecords({ name: `cut-${number}`, keys: 50, random: createRandom(number) });
      for (let stream = 0; stream < streams; stream++) {
        const records = () => Array.from({ length: BATCH_RECORDS }, () => plan.next().value);
        await mesh.producers[number]!.stream(Array.from({ length: BATCHES }, records));
      }
    };
    let isOver = false;
    const producing = Promise.all([produce(0), produce(1), produce(2)]).finally(() => {
      isOver = true;
    });
    // At most so often that now and then a call gets through.
    for (let pauseMs = 5; !isOver; pauseMs = (pauseMs % 97) + random.below(20)) {
      faults.cut("producers", "gateway");
      await Promise.race([sleep(pauseMs), producing]);
    }
    await producing;
    await recovered();
  },
};
