import { waitUntil } from "./harness/patience.ts";
import type { Scenario } from "./harness/scenario.ts";

const STREAMS = ["raw", "enriched", "unique"] as const;

export const scenario: Scenario = {
  title: "in a NATS cluster of three the leader of each stream is killed, and comes back",
  killsNats: true,
  mesh: { natsServers: 3 },
  async run({ mesh, faults, underLoad, recovered, note }) {
    const leaderOf = async (role: (typeof STREAMS)[number]) => {
      let leader: Awaited<ReturnType<typeof mesh.streams>>["raw"]["leader"];
      await waitUntil(`${role} has a leader`, {
        isDone: async () => {
          leader = await mesh.streams().then(
            (streams) => streams[role].leader,
            () => undefined,
          );
          return leader !== undefined;
        },
        progress: async () => 0,
      });
      return leader!;
    };
    await underLoad(async (load) => {
      for (let round = 0; round < 2; round++) {
        for (const role of STREAMS) {
          const leader = await leaderOf(role);
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
