import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { NatsServerName, ServerName } from "../faults/harness/fault-mesh.ts";
import type { Moment } from "../faults/harness/fault-proxy.ts";
import * as moments from "../faults/harness/moments.ts";
import * as cluster from "./cluster-kinds.ts";
import * as database from "./database-kinds.ts";
import { type FaultKind, lasting, type Stage } from "./fault-kind.ts";
import { killerRecord } from "./killer-kind.ts";
import * as operations from "./operation-kinds.ts";
import * as restore from "./restore-kinds.ts";
import { rollout } from "./rollout-kind.ts";
import * as sabotage from "./sabotage-kinds.ts";

/** Two of each service. */
export const REPLICAS = { gateway: 2, enricher: 2, dedup: 2, store: 2 };
const STAGES = ["enricher", "enricher-2", "dedup", "dedup-2", "store", "store-2"];
const SERVICES = ["gateway", "gateway-2", ...STAGES];
const servers = (natsServers: readonly NatsServerName[]): ServerName[] => [...natsServers, "postgres"];
/** A replica that gets no work in this time comes to no boundary. */
const BOUNDARY_PATIENCE_MS = 15_000;

const BOUNDARIES: readonly (readonly [service: string, moment: Moment])[] = [
  ["gateway", moments.beforePublish("raw")],
  ["gateway", moments.afterPublish("raw")],
  ["enricher", moments.beforePublish("enriched")],
  ["enricher", moments.afterPublish("enriched")],
  ["enricher", moments.beforeAcknowledging("raw")],
  ["dedup", moments.beforePublish("unique")],
  ["dedup", moments.afterPublish("unique")],
  ["dedup", moments.beforeAcknowledging("enriched")],
  ["store", moments.beforeRows],
  ["store", moments.beforeBooks],
  ["store", moments.beforeCommit],
  ["store", moments.afterCommit],
  ["store", moments.beforeAcknowledging("unique")],
];

/** Of a cluster one server at a time has a fault. */
function isOneOf(process: string): string {
  return process.replace(/^nats-\d$/, "nats");
}

/** A fault that befalls one process, from `begin` for a while. */
function befalls(
  processes: readonly string[] | typeof servers,
  begin: (stage: Stage, process: string) => unknown,
  end?: (stage: Stage, process: string) => unknown,
): FaultKind {
  return (kind, random, natsServers) => {
    const process = random.pick<string>(typeof processes === "function" ? processes(natsServers) : processes);
    const lastsMs = end === undefined ? 0 : lasting(random);
    return {
      kind,
      what: `${kind} ${process}${lastsMs === 0 ? "" : ` for ${lastsMs} ms`}`,
      uses: [isOneOf(process)],
      async play(stage) {
        await begin(stage, process);
        if (end === undefined) return;
        await sleep(lastsMs);
        await end(stage, process);
      },
    };
  };
}

/** The same for the connections of a process to a server. */
function troubles(
  begin: (stage: Stage, process: string, server: ServerName) => unknown,
  end?: (stage: Stage, process: string, server: ServerName) => unknown,
): FaultKind {
  return (kind, random, natsServers) => {
    const [process, server] = random.pick<readonly [string, ServerName]>([
      ...natsServers.flatMap((nats) => SERVICES.map((service) => [service, nats] as const)),
      ["store", "postgres"],
      ["store-2", "postgres"],
      ["producers", "gateway"],
      ["producers", "gateway-2"],
    ]);
    const lastsMs = end === undefined ? 0 : lasting(random);
    return {
      kind,
      what: `${kind} ${process} to ${server}${lastsMs === 0 ? "" : ` for ${lastsMs} ms`}`,
      uses: [process],
      async play(stage) {
        await begin(stage, process, server);
        if (end === undefined) return;
        await sleep(lastsMs);
        await end(stage, process, server);
      },
    };
  };
}

const killAtBoundary: FaultKind = (kind, random) => {
  const [service, moment] = random.pick(BOUNDARIES);
  const process = random.chance(0.5) ? service : `${service}-2`;
  return {
    kind,
    what: `kill ${process} ${moment.what}`,
    uses: [process],
    async play({ faults, note }) {
      const isKilled = await faults.killAtWithin(process, moment, BOUNDARY_PATIENCE_MS);
      if (isKilled) await faults.start(process);
      else note(`${process} had nothing to do: not killed`);
    },
  };
};

/** Killed a second time, at some point of its start. */
const killStarting: FaultKind = (kind, random) => {
  const process = random.pick(SERVICES);
  const afterMs = random.below(2_500);
  return {
    kind,
    what: `${kind} ${process} after ${afterMs} ms`,
    uses: [process],
    async play({ faults, mesh, note }) {
      await faults.kill(process);
      const started = faults.start(process).catch((error: Error) => note(error.message.split("\n", 1)[0]!));
      await sleep(afterMs);
      await killByPidFile(join(mesh.dataDir, "logs", `${process}.pid`));
      await started;
      await faults.start(process);
    },
  };
};

/** A process that is not ready yet can't be killed by its name. */
async function killByPidFile(file: string): Promise<void> {
  const pid = /"server":\{"pid":(\d+)/.exec(await readFile(file, "utf8").catch(() => ""))?.[1];
  if (pid !== undefined) process.kill(Number(pid), "SIGKILL");
}

/** What a machine does that loses its power, but for its disk. */
const killAll: FaultKind = (kind, _random, natsServers) => ({
  kind,
  what: kind,
  uses: ["nats", "postgres", ...SERVICES],
  async play({ faults }) {
    await Promise.all([...SERVICES, ...servers(natsServers)].map((process) => faults.kill(process)));
    await Promise.all(servers(natsServers).map((server) => faults.start(server)));
    await Promise.all(SERVICES.map((service) => faults.start(service)));
  },
});

/** Everything that a round can suffer, by name. */
export const FAULT_KINDS: ReadonlyMap<string, FaultKind> = new Map<string, FaultKind>([
  ["kill", befalls(SERVICES, ({ faults }, process) => faults.crash(process))],
  ["kill-at-boundary", killAtBoundary],
  ["kill-starting", killStarting],
  ["kill-all", killAll],
  [
    "away",
    befalls(
      SERVICES,
      ({ faults }, process) => faults.kill(process),
      ({ faults }, process) => faults.start(process),
    ),
  ],
  ["restart", befalls(SERVICES, ({ faults }, process) => faults.restart(process))],
  ["drain", befalls(SERVICES, operations.drainAndStart)],
  [
    "freeze",
    befalls(
      SERVICES,
      ({ faults }, each) => faults.freeze(each),
      ({ faults }, each) => faults.thaw(each),
    ),
  ],
  [
    "pause",
    befalls(
      SERVICES,
      ({ faults }, each) => faults.pause(each),
      ({ faults }, each) => faults.resume(each),
    ),
  ],
  ["kill-server", befalls(servers, ({ faults }, server) => faults.crash(server))],
  ["restart-server", befalls(servers, ({ faults }, server) => faults.restart(server))],
  [
    "server-away",
    befalls(
      servers,
      ({ faults }, server) => faults.kill(server),
      ({ faults }, server) => faults.start(server),
    ),
  ],
  [
    "freeze-server",
    befalls(
      servers,
      ({ faults }, each) => faults.freeze(each),
      ({ faults }, each) => faults.thaw(each),
    ),
  ],
  ["cut", troubles(({ faults }, process, server) => faults.cut(process, server))],
  [
    "cut-off",
    troubles(
      ({ faults }, process, server) => faults.cutOff(process, server),
      ({ faults }, process, server) => faults.heal(process, server),
    ),
  ],
  ["half-open", troubles(({ faults }, process, server) => faults.halfOpen(process, server))],
  [
    "slow",
    troubles(
      ({ faults }, process, server) => faults.delay(process, server, 100),
      ({ faults }, process, server) => faults.heal(process, server),
    ),
  ],
  ["locked-table", database.lockedTable],
  ["failing-writes", database.failingWrites],
  ["deadlock", database.deadlock],
  ["bad-rows", database.badRows],
  ["no-connections", database.noConnections],
  ["kill-in-commit", database.killInCommit],
  ["lose-index", operations.loseIndex],
  ["old-index", operations.oldIndex],
  ["change-pipeline", operations.changePipeline],
  ["bad-pipeline", operations.badPipeline],
  ["restore-database", restore.restoreDatabase],
  ["wipe-database", restore.wipeDatabase],
  ["killer-record", killerRecord],
  ["rollout", rollout],
  ["replay", operations.replay],
  ["discard", operations.discard],
  ["compact", operations.compact],
  ["audit", operations.audit],
  ["kill-leader", cluster.killLeader],
  ["part-server", cluster.partServer],
]);

/** What takes a cluster of NATS servers. */
const CLUSTER_KINDS: ReadonlySet<string> = new Set(["kill-leader", "part-server"]);

/** Those of the kinds that a mesh with so many servers of NATS can suffer. */
export function kindsFor(
  kinds: ReadonlyMap<string, FaultKind>,
  natsServers: number,
): ReadonlyMap<string, FaultKind> {
  return new Map([...kinds].filter(([name]) => natsServers > 1 || !CLUSTER_KINDS.has(name)));
}

/** What the mesh can't stand: to see that it is found. Only where it is asked for by name. */
export const SABOTAGE_KINDS: ReadonlyMap<string, FaultKind> = new Map<string, FaultKind>([
  ["delete-a-row", sabotage.deleteRow],
  ["revert-a-row", sabotage.revertRow],
  ["lose-a-message", sabotage.loseMessage],
  ["restore-in-silence", sabotage.restoreInSilence],
]);
