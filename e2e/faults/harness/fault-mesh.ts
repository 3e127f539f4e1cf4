import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createKey } from "@chowhound/gateway/src/create-key.ts";
import { type BookKeeper, openBooks } from "@chowhound/local/books";
import { ensureLocalKey, localTenant } from "@chowhound/local/local-key";
import { type Mesh, type MeshOptions, startMesh } from "@chowhound/local/mesh";
import { SERVICES } from "@chowhound/local/mesh-service";
import { removePostgresData } from "@chowhound/local/postgres";
import { natsNames, STREAMS, type StreamRole } from "@chowhound/shared/stream/topology";
import { jetstreamManager } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";

import { anyProtocol } from "./any-frames.ts";
import { FaultProxy } from "./fault-proxy.ts";
import { Ledger } from "./ledger.ts";
import { natsProtocol } from "./nats-frames.ts";
import { postgresProtocol } from "./postgres-frames.ts";
import { createProducer, type Producer } from "./producer.ts";

/** What a scenario may want of its mesh beyond the usual. */
export type MeshVariant = Pick<MeshOptions, "replicas" | "natsServers" | "env" | "software" | "durable">;

export type NatsServerName = "nats" | "nats-2" | "nats-3";
export type ServerName = NatsServerName | "postgres" | "gateway" | "gateway-2";

/** The servers of NATS: one, or a cluster. */
export function natsServerNames(count: number): readonly NatsServerName[] {
  return processNames("nats", count) as NatsServerName[];
}

/** What a stream holds. */
export interface StreamState {
  messages: number;
  bytes: number;
  /** Rises by one with each message that the stream has ever stored. */
  lastSequence: number;
  /** Messages that were delivered more than once and are not acknowledged yet. */
  redelivered: number;
  /** The server of a cluster that has the say over it; undefined where there is none, for now or at all. */
  leader: NatsServerName | undefined;
}

/** A mesh of real processes, each of which reaches NATS and PostgreSQL through a proxy of its own that can fail. */
export interface FaultMesh extends Mesh {
  /** One per tenant, for each gateway. */
  producers: readonly Producer[];
  ledger: Ledger;
  dataDir: string;
  natsServers: readonly NatsServerName[];
  /** The way from a service process to a server, or from the "producers" to a gateway. Throws where there is none. */
  link(process: string, server: ServerName): FaultProxy;
  /** Runs with a connection of its own to the database. */
  withBooks<T>(action: (books: BookKeeper) => Promise<T>): Promise<T>;
  streams(): Promise<Record<StreamRole, StreamState>>;
  /** Stops everything. @param keepFiles leaves logs and data, for a look at what went wrong */
  remove(options?: { keepFiles?: boolean }): Promise<void>;
}

const TENANTS = [localTenant, "north", "south"];

/** What a killed process held comes again within seconds, and a dead connection to PostgreSQL is given up within seconds. */
const HASTE = { CHOWHOUND_ACK_WAIT: "2s" };
const STORE_HASTE = { ...HASTE, CHOWHOUND_STORE_STATEMENT_TIMEOUT: "2s" };

export async function startFaultMesh({
  replicas,
  natsServers = 1,
  env,
  software,
  // Quick: nobody waits for the disk.
  durable = false,
}: MeshVariant = {}): Promise<FaultMesh> {
  const dataDir = await mkdtemp(join(tmpdir(), "chowhound-faults-"));
  const { file, key } = await ensureLocalKey(dataDir);
  const keys = new Map([[localTenant, key]]);
  for (const tenant of TENANTS) if (!keys.has(tenant)) keys.set(tenant, await createKey({ tenant, file }));

  const links = new Map<string, FaultProxy>();
  const gateways = processNames("gateway", replicas?.gateway);
  const cluster = natsServerNames(natsServers);
  for (const one of cluster)
    for (const other of cluster) if (one !== other) links.set(`${one} ${other}`, new FaultProxy(anyProtocol));
  for (const gateway of gateways) links.set(`producers ${gateway}`, new FaultProxy(anyProtocol));
  for (const service of SERVICES) {
    for (const name of processNames(service, replicas?.[service])) {
      for (const nats of cluster) links.set(`${name} ${nats}`, new FaultProxy(natsProtocol));
      if (service === "store") links.set(`${name} postgres`, new FaultProxy(postgresProtocol));
    }
  }
  await Promise.all([...links.values()].map((link) => link.listen()));
  const link = (process: string, server: string): FaultProxy => {
    const found = links.get(`${process} ${server}`);
    if (found === undefined) throw new Error(`${process} has no connection to ${server}`);
    return found;
  };

  const mesh = await startMesh({
    dataDir,
    durable,
    natsServers,
    ...(replicas !== undefined && { replicas }),
    ...(software !== undefined && { software }),
    env: {
      gateway: { ...env?.gateway },
      enricher: { ...HASTE, ...env?.enricher },
      dedup: { ...HASTE, ...env?.dedup },
      store: { ...STORE_HASTE, ...env?.store },
    },
    route: (process, server, port) => link(process, server).leadTo(port),
    log: () => {},
  });

  const ledger = new Ledger();
  const closing = new AbortController();
  const producers = gateways.flatMap((gateway) => {
    const port = link("producers", gateway).leadTo(mesh.process(gateway).ports.grpc!);
    return [...keys].map(([tenant, key]) =>
      createProducer({ door: `127.0.0.1:${port}`, tenant, key, ledger, signal: closing.signal }),
    );
  });

  return {
    ...mesh,
    producers,
    ledger,
    dataDir,
    natsServers: cluster,
    link,
    async withBooks(action) {
      const books = await openBooks(mesh.endpoints.postgresUrl);
      try {
        return await action(books);
      } finally {
        await books.close().catch(() => {});
      }
    },
    streams: () => readStreams(mesh.endpoints.natsUrls),
    async remove({ keepFiles = false } = {}) {
      closing.abort();
      for (const producer of producers) producer.close();
      try {
        await mesh.stop();
      } finally {
        await Promise.all([...links.values()].map((each) => each.close()));
        if (!keepFiles) {
          await removePostgresData(join(dataDir, "postgres"));
          await rm(dataDir, { recursive: true, force: true });
        }
      }
    },
  };
}

/** The first has no number. */
function processNames(name: string, count = 1): string[] {
  return Array.from({ length: count }, (_, index) => (index === 0 ? name : `${name}-${index + 1}`));
}

async function readStreams(urls: readonly string[]): Promise<Record<StreamRole, StreamState>> {
  const names = natsNames("chowhound");
  const nc = await connect({ servers: [...urls], reconnect: false });
  try {
    const jsm = await jetstreamManager(nc);
    const states = await Promise.all(
      STREAMS.map(async (role): Promise<[StreamRole, StreamState]> => {
        const { state, cluster } = await jsm.streams.info(names.stream(role));
        const consumers = await jsm.consumers.list(names.stream(role)).next();
        return [
          role,
          {
            messages: state.messages,
            bytes: state.bytes,
            lastSequence: state.last_seq,
            leader: cluster?.leader as NatsServerName | undefined,
            redelivered: consumers.reduce((sum, { num_redelivered }) => sum + num_redelivered, 0),
          },
        ];
      }),
    );
    return Object.fromEntries(states) as Record<StreamRole, StreamState>;
  } finally {
    await nc.close();
  }
}
