import type { StreamRole } from "@chowhound/shared/stream/topology";
import type { FaultMesh, NatsServerName } from "./fault-mesh.ts";
import { waitUntil } from "./patience.ts";

/** The server of a cluster that has the say over a stream; waits while none has. */
export async function leaderOf(mesh: FaultMesh, role: StreamRole): Promise<NatsServerName> {
  let leader: NatsServerName | undefined;
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
}
