import assert from "node:assert/strict";
import { type KnownRecord, planRecords, withUuid } from "./harness/known-records.ts";
import { createRandom } from "./harness/random.ts";
import type { Scenario } from "./harness/scenario.ts";

const CALLS = 40;
const CALL_RECORDS = 50;

export const scenario: Scenario = {
  title: "the same records come through two gateways at once, into four partitions",
  mesh: {
    replicas: { gateway: 2, enricher: 2, dedup: 2, store: 2 },
    env: { gateway: { CHOWHOUND_PARTITIONS: "4" } },
  },
  async run({ mesh, faults, underLoad, recovered, random }) {
    const tenants = mesh.producers.length / 2;
    const plan = planRecords({ name: "both", keys: 100, random: createRandom(random.below(2 ** 31)) });
    const sendThroughBoth = async (records: readonly KnownRecord[]): Promise<void> => {
      const [one, other] = [mesh.producers[1]!, mesh.producers[1 + tenants]!];
      assert.equal(one.tenant, other.tenant);
      await Promise.all([one.send(records), other.send(random.shuffle(records))]);
    };
    const sendAll = async (): Promise<void> => {
      for (let call = 0; call < CALLS; call++)
        await sendThroughBoth(Array.from({ length: CALL_RECORDS }, () => withUuid(plan.next().value)));
    };
    await underLoad(
      async () => {
        await sendAll();
        for (const gateway of ["gateway", "gateway-2"]) {
          const sending = sendAll();
          await faults.kill(gateway);
          await faults.start(gateway);
          await sending;
        }
        await recovered();
      },
      { producers: mesh.producers.length },
    );
  },
};
