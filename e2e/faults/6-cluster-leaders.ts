import { STREAMS } from "@chowhound/shared/stream/topology";
import { leaderOf } from "./harness/leader.ts";
import type { Scenario } from "./harness/scenario.ts";

export const scenario: Scenario = {
  title: "in a NATS cluster of three the leader of each stream is killed, and comes back",
  killsNats: true,
  mesh: { natsServers: 3 },
  async run({ mesh, faults, underLoad, recovered, note }) {
    await underLoad(async (load) => {
      for (let round = 0; round < 2; round++) {
        for (const role of STREAMS) {
          const leader = await leaderOf(mesh, role);
          note(`${leader} leads ${role.toUpperCase()}`);
          await faults.kill(leader);
          await recovered();
          await load.untilAccepted(300);
          await faults.start(leader);
          await recovered();
          await load.untilAccepted(300);
        }
      }
    });
  },
};
