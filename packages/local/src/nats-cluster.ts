import { join } from "node:path";
import { findFreePort } from "./free-port.ts";
import { type NatsServer, type NatsServerOptions, startNatsServer } from "./nats-server.ts";

/** One server of a cluster, not started yet. */
export interface NatsNode {
  /** Names it in the cluster for ever: copies of streams belong to names. */
  name: string;
  port: number;
  monitorPort: number;
  /** Where the others reach it. */
  routePort: number;
}

/** Free ports for the servers "nats", "nats-2", … */
export function planNatsCluster(size: number): Promise<NatsNode[]> {
  return Promise.all(
    Array.from({ length: size }, async (_, index) => ({
      name: index === 0 ? "nats" : `nats-${index + 1}`,
      port: await findFreePort(),
      monitorPort: await findFreePort(),
      routePort: await findFreePort(),
    })),
  );
}

/**
 * What a server must be told to be that node among the others.
 *
 * @param portTo where it finds another one; by default where that one listens
 */
export function nodeOptions(
  node: NatsNode,
  nodes: readonly NatsNode[],
  portTo: (peer: NatsNode) => number = (peer) => peer.routePort,
) {
  const { name, port, monitorPort, routePort } = node;
  const peerPorts = nodes.filter((each) => each !== node).map(portTo);
  return { port, monitorPort, cluster: { serverName: name, routePort, peerPorts } };
}

/** Starts all servers of a cluster at once, each in a directory of its name. A majority of them is JetStream. */
export async function startNatsCluster(
  nodes: readonly NatsNode[],
  options: Omit<NatsServerOptions, "port" | "monitorPort" | "cluster">,
): Promise<NatsServer[]> {
  const starts = await Promise.allSettled(
    nodes.map((node) =>
      startNatsServer({
        ...options,
        ...nodeOptions(node, nodes),
        dataDir: join(options.dataDir, node.name),
      }),
    ),
  );
  const started = starts.flatMap((start) => (start.status === "fulfilled" ? start.value : []));
  const failed = starts.find((start) => start.status === "rejected");
  if (failed === undefined) return started;
  await Promise.all(started.map((server) => server.stop()));
  throw failed.reason;
}
