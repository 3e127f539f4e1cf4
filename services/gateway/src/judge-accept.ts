import { DurabilityLevel } from "@chowhound/shared/contracts/chowhound/v1/ingestion_service";
import type { SyncFact } from "./nats-monitor.ts";

/** How one stream is kept. */
export interface StreamFact {
  name: string;
  storage: "file" | "memory";
  replicas: number;
  /** It acknowledges before it has written. */
  isAsync: boolean;
}

/** What is known of the servers that hold the streams. */
export interface ServerFacts {
  /** Of the server that the gateway is connected to. */
  version: string;
  /** By the servers' names. */
  syncs: ReadonlyMap<string, SyncFact>;
}

/** From here on a server can sync before it acknowledges, and a crash of its process loses nothing acknowledged. */
const OLDEST_SAFE = { major: 2, minor: 10 };
const MAJORITY_OUTLIVES_ONE = 3;

/**
 * What the acknowledgement of an accepted record is worth: the weakest of all the streams and servers on its way. With
 * the warnings, for a person: what can be lost, why, and the remedy; none where a power failure loses nothing.
 */
export function judgeAccept(
  streams: readonly StreamFact[],
  { version, syncs }: ServerFacts,
): { level: DurabilityLevel; warnings: string[] } {
  const isOld = isOlder(version);
  const warnings = [
    ...streams.flatMap(warnOfStream),
    ...(isOld ? [oldServer(version)] : [...syncs].flatMap(([server, sync]) => warnOfServer(server, sync))),
  ];
  const policies = [...syncs.values()].map(({ kind }) => kind);
  const isReplicated = streams.every(({ replicas }) => replicas >= MAJORITY_OUTLIVES_ONE);
  const isSynced = policies.every((kind) => kind === "always");
  const level = (): DurabilityLevel => {
    if (streams.some(({ storage, isAsync }) => storage === "memory" || isAsync))
      return DurabilityLevel.MEMORY;
    if (isOld || policies.length === 0) return DurabilityLevel.UNKNOWN;
    if (isSynced) return isReplicated ? DurabilityLevel.SYNCED_REPLICATED : DurabilityLevel.SYNCED;
    if (isReplicated) return DurabilityLevel.REPLICATED;
    return policies.includes("periodic") ? DurabilityLevel.WRITTEN : DurabilityLevel.UNKNOWN;
  };
  return { level: level(), warnings };
}

function warnOfStream({ name, storage, isAsync }: StreamFact): string[] {
  const remedy = "delete it when it is empty: it is made anew, on disk";
  if (storage === "memory")
    return [`the stream ${name} is kept in memory: a restart of NATS loses what is in it; ${remedy}`];
  if (isAsync)
    return [
      `the stream ${name} acknowledges before it writes (persist_mode: async): a crash of NATS loses the newest records; ${remedy}`,
    ];
  return [];
}

function warnOfServer(server: string, sync: SyncFact): string[] {
  if (sync.kind === "always") return [];
  if (sync.kind === "periodic")
    return [
      `NATS server ${server} acknowledges before it syncs, and syncs every ${sync.intervalMs / 1000}s: a power failure loses what came since; set "sync_interval: always" in the jetstream block of its configuration and restart it`,
    ];
  return [
    `whether NATS server ${server} syncs before it acknowledges is not known (${sync.why}): a power failure may lose what it took last; name its monitoring port in CHOWHOUND_NATS_MONITOR_URL`,
  ];
}

function oldServer(version: string): string {
  return `nats-server ${version} can lose what it acknowledged when it crashes; run 2.11 or newer`;
}

function isOlder(version: string): boolean {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  return major < OLDEST_SAFE.major || (major === OLDEST_SAFE.major && minor < OLDEST_SAFE.minor);
}
