import { setTimeout as sleep } from "node:timers/promises";
import { STREAMS } from "@chowhound/shared/stream/topology";
import { leaderOf } from "../faults/harness/leader.ts";
import { type FaultKind, lasting } from "./fault-kind.ts";

/** The server that has the say over a stream is away for a while: the two others elect another. */
export const killLeader: FaultKind = (kind, random) => {
  const role = random.pick(STREAMS);
  const lastsMs = lasting(random);
  return {
    kind,
    what: `${kind} of ${role.toUpperCase()} for ${lastsMs} ms`,
    uses: ["nats"],
    async play({ mesh, faults }) {
      const leader = await leaderOf(mesh, role);
      await faults.kill(leader);
      await sleep(lastsMs);
      await faults.start(leader);
    },
  };
};

/** A server is cut off from the two others for a while, and keeps its clients. */
export const partServer: FaultKind = (kind, random, natsServers) => {
  const alone = random.pick(natsServers);
  const others = natsServers.filter((server) => server !== alone);
  // Longer than an election takes, as a rule.
  const lastsMs = 3 * lasting(random);
  return {
    kind,
    what: `${kind} ${alone} from ${others.join(" and ")} for ${lastsMs} ms`,
    uses: ["nats"],
    async play({ faults }) {
      const ways = others.flatMap((other) => [[alone, other] as const, [other, alone] as const]);
      for (const [from, to] of ways) faults.cutOff(from, to);
      await sleep(lastsMs);
      for (const [from, to] of ways) faults.heal(from, to);
    },
  };
};
