import assert from "node:assert/strict";
import { auditAllAlong, auditTruthfully } from "./harness/audits.ts";
import type { Scenario } from "./harness/scenario.ts";

/** For an audit that has begun before, and waits until all copies of the streams are there again. */
const PATIENCE_SECONDS = 300;
const SERVERS = ["nats", "nats-2", "nats-3"] as const;

export const scenario: Scenario = {
  title:
    "of a NATS cluster of three one server after the other is cut off from the two others, and keeps its clients; audits all the while",
  killsNats: true,
  mesh: { natsServers: 3 },
  async run({ mesh, faults, underLoad, recovered, note }) {
    await underLoad(async (load) => {
      for (const alone of SERVERS) {
        const others = SERVERS.filter((server) => server !== alone);
        const patient = auditTruthfully(mesh, { timeoutSeconds: PATIENCE_SECONDS });
        patient.catch(() => {});
        const answers = await auditAllAlong(mesh, async () => {
          for (const other of others) {
            faults.cutOff(alone, other);
            faults.cutOff(other, alone);
          }
          await recovered();
          await load.untilAccepted(500);
          for (const other of others) {
            faults.heal(alone, other);
            faults.heal(other, alone);
          }
        });
        note(`audits meanwhile: ${[...answers].map(([answer, count]) => `${count} ${answer}`).join(", ")}`);
        await recovered();
        assert.equal(await patient, "closed");
        assert.equal(await auditTruthfully(mesh), "closed");
        await load.untilAccepted(300);
      }
    });
  },
};
