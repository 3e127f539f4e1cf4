import { create } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import {
  type AcceptDurability,
  AcceptDurabilitySchema,
  SyncPolicy,
} from "@chowhound/shared/contracts/chowhound/v1/admin_service";
import { DurabilityLevel } from "@chowhound/shared/contracts/chowhound/v1/ingestion_service";
import { pause } from "@chowhound/shared/runtime/backoff";
import { createDurabilityLog } from "@chowhound/shared/runtime/durability-log";
import type { Logger } from "@chowhound/shared/runtime/logger";
import { findStream, type NatsNames, STREAMS } from "@chowhound/shared/stream/topology";
import { jetstreamManager, PersistMode, StorageType, type StreamInfo } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/transport-node";
import { judgeAccept, type StreamFact } from "./judge-accept.ts";
import { askMonitor, type SyncFact } from "./nats-monitor.ts";

export interface AcceptWatchOptions {
  names: NatsNames;
  monitorUrls: readonly string[];
  log: Logger;
  signal: AbortSignal;
}

const LOOK_AGAIN_MS = 30_000;

/**
 * Knows what an acknowledgement is worth: looks at the streams and asks the servers' monitoring at the start, after
 * every reconnect, and every half minute. Logs what it finds, and again when that has changed.
 */
export class AcceptWatch {
  readonly #options: AcceptWatchOptions;
  #report: AcceptDurability = notKnown("the streams have not been looked at yet");
  /** Counts looks and disconnects: what a look found that began before the last of them is out of date. */
  #turn = 0;
  readonly #logChange;

  constructor(options: AcceptWatchOptions) {
    this.#options = options;
    this.#logChange = createDurabilityLog("accepted records", options.log);
  }

  /** What was found last; UNKNOWN while NATS is away. */
  get report(): AcceptDurability {
    return this.#report;
  }

  /** Resolves after the first look, goes on until the signal is aborted. */
  async start(nc: NatsConnection): Promise<void> {
    void this.#followConnection(nc);
    await this.#look(nc);
    void this.#lookAgain(nc);
  }

  async #followConnection(nc: NatsConnection): Promise<void> {
    for await (const { type } of nc.status()) {
      if (type === "disconnect") {
        this.#turn++;
        this.#report = notKnown("NATS is away");
      } else if (type === "reconnect") void this.#look(nc);
    }
  }

  async #lookAgain(nc: NatsConnection): Promise<void> {
    while (await pause(LOOK_AGAIN_MS, this.#options.signal)) await this.#look(nc);
  }

  async #look(nc: NatsConnection): Promise<void> {
    const turn = ++this.#turn;
    const report = await this.#findOut(nc).catch((error: Error) => notKnown(error.message));
    if (turn !== this.#turn || nc.isClosed()) return;
    this.#report = report;
    this.#logChange(report);
  }

  async #findOut(nc: NatsConnection): Promise<AcceptDurability> {
    const { names, monitorUrls } = this.#options;
    const jsm = await jetstreamManager(nc);
    const [infos, answers] = await Promise.all([
      Promise.all(STREAMS.map((role) => findStream(jsm, names.stream(role)))),
      Promise.all(monitorUrls.map(askOrExplain)),
    ]);
    const found = infos.filter((info) => info !== undefined);
    const streams = found.map(toFact);
    const syncs = new Map(
      found.flatMap((info) => serversOf(info, nc)).map((server) => [server, syncOf(server, answers)]),
    );
    return create(AcceptDurabilitySchema, {
      ...judgeAccept(streams, { version: nc.info?.version ?? "", syncs }),
      streams: streams.map(({ name, ...fact }) => ({ stream: name, ...fact })),
      servers: [...syncs].map(([server, sync]) => ({
        server,
        sync: POLICIES[sync.kind],
        ...(sync.kind === "periodic" && { syncInterval: durationFromMs(sync.intervalMs) }),
      })),
    });
  }
}

const POLICIES = {
  always: SyncPolicy.ALWAYS,
  periodic: SyncPolicy.PERIODIC,
  unknown: SyncPolicy.UNKNOWN,
} satisfies Record<SyncFact["kind"], SyncPolicy>;

type Answer = { server: string; sync: SyncFact } | { failure: string };

function askOrExplain(url: string): Promise<Answer> {
  return askMonitor(url).catch((error: Error) => ({ failure: `${new URL(url).host}: ${error.message}` }));
}

/** What a server's monitoring said. Each server is asked through its own URL: another one's answer is none. */
function syncOf(server: string, answers: readonly Answer[]): SyncFact {
  const failures: string[] = [];
  for (const answer of answers) {
    if ("failure" in answer) failures.push(answer.failure);
    else if (answer.server === server) return answer.sync;
  }
  return { kind: "unknown", why: failures.join(", ") || "its monitoring port is not configured" };
}

function toFact({ config }: StreamInfo): StreamFact {
  return {
    name: config.name,
    storage: config.storage === StorageType.Memory ? "memory" : "file",
    replicas: config.num_replicas,
    isAsync: config.persist_mode === PersistMode.Async,
  };
}

/** The names of the servers that hold a stream. */
function serversOf({ cluster }: StreamInfo, nc: NatsConnection): string[] {
  const names = [cluster?.leader, ...(cluster?.replicas ?? []).map(({ name }) => name)];
  const known = names.filter((name): name is string => name !== undefined && name !== "");
  return known.length > 0 ? known : [nc.info?.server_name ?? ""];
}

function notKnown(why: string): AcceptDurability {
  const warnings = [`what an acknowledgement survives is not known: ${why}`];
  return create(AcceptDurabilitySchema, { level: DurabilityLevel.UNKNOWN, warnings });
}
