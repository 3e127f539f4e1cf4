import { lookup } from "node:dns/promises";
import { isIP } from "node:net";
import type { DescService } from "@bufbuild/protobuf";
import type { Client } from "@connectrpc/connect";
import { CliError, UsageError } from "../cli-error.ts";
import { EXIT } from "../exit-codes.ts";
import type { Connection, ConnectionOptions } from "./connection.ts";
import type { AdminAddress, Located, MeshAddress } from "./mesh-address.ts";

/** One service process, by its admin port. */
export interface AdminProcess {
  /** The service that the address was given for. */
  service: string;
  /** Such as "127.0.0.1:24692". */
  address: string;
  client<S extends DescService>(service: S): Client<S>;
}

/** A mesh to call. Nothing is looked up or connected before it is used. */
export interface Mesh {
  /**
   * A client of a service at the gateway's gRPC door, with the tenant's key.
   *
   * @param options.signal ends the calls instead of the signal of the whole command
   * @throws {CliError} where no gateway or no key is known
   */
  gateway<S extends DescService>(service: S, options?: { signal?: AbortSignal }): Promise<Client<S>>;
  /** Which gateway `gateway` calls, and with which key. Throws as it does. */
  gatewayAddress(): Promise<{ url: string; key: string }>;
  /**
   * The processes of these services, or of all, in the order in which a record passes them. A host name stands for one
   * process per address, which are looked up each time.
   *
   * @throws {UsageError} for a service without a known admin port @throws {CliError} where none is known at all
   */
  processes(services?: readonly string[]): Promise<AdminProcess[]>;
  /** The services whose admin ports are known; empty where none is. */
  services(): Promise<string[]>;
}

type FindAddresses = (host: string) => Promise<{ address: string; family: number }[]>;

/** The order in which a record passes the services. */
const SERVICE_ORDER = ["gateway", "enricher", "dedup", "store"];

const NO_MESH = "Start one with `npm start` and call chow from that checkout, or say where it is";

/**
 * @param find what is known of how to reach the mesh; called once
 * @param signal ends all calls
 * @param findAddresses all addresses of a host name; rejects where it has none
 */
export function createMesh(
  find: () => Promise<MeshAddress>,
  signal: AbortSignal,
  findAddresses: FindAddresses = (host) => lookup(host, { all: true }),
): Mesh {
  let found: Promise<MeshAddress> | undefined;
  const address = (): Promise<MeshAddress> => {
    found ??= find();
    return found;
  };
  const gatewayAddress = async (): Promise<{ url: string; key: string; from: string }> => {
    const { gateway, key } = await address();
    if (gateway === undefined)
      throw new CliError(`no gateway is known. ${NO_MESH}: --gateway HOST:PORT or CHOWHOUND_GATEWAY`, {
        exitCode: EXIT.unavailable,
      });
    if (key === undefined)
      throw new CliError(
        `no key is known for the gateway of ${gateway.from}; give --key-file FILE, CHOWHOUND_KEY_FILE or CHOWHOUND_KEY`,
        { exitCode: EXIT.refused },
      );
    return { url: gateway.value, key: key.value, from: gateway.from };
  };
  /** By their URLs: who asks for the processes again talks to those it knows on. */
  const adminConnections = new Map<string, Promise<Connection>>();
  // Not before it is needed: loading it takes as long as the rest.
  const connect = async (options: ConnectionOptions): Promise<Connection> =>
    (await import("./connection.ts")).openConnection(options);

  return {
    gateway: async (service, options = {}) => {
      const connection = await connect({ ...(await gatewayAddress()), signal: options.signal ?? signal });
      return connection.client(service);
    },

    gatewayAddress,

    processes: async (services = []) => {
      const { admin } = await address();
      if (admin === undefined || admin.value.length === 0)
        throw new CliError(
          `no admin port is known. ${NO_MESH}: --admin SERVICE=HOST:PORT or CHOWHOUND_ADMIN`,
          { exitCode: EXIT.unavailable },
        );
      for (const service of services) requireService(service, admin);
      const chosen = admin.value.filter(({ service }) => services.length === 0 || services.includes(service));
      const resolved = await Promise.all(chosen.map((one) => resolveAddresses(one, findAddresses)));
      const targets = uniqueBy(resolved.flat(), ({ url }) => url);
      targets.sort((a, b) => rank(a.service) - rank(b.service));
      return Promise.all(
        targets.map(async ({ service, url, serverName }) => {
          const key = `${url} ${serverName ?? ""}`;
          const connecting =
            adminConnections.get(key) ??
            connect({ url, ...(serverName !== undefined && { serverName }), from: admin.from, signal });
          adminConnections.set(key, connecting);
          const connection = await connecting;
          return { service, address: new URL(url).host, client: (desc) => connection.client(desc) };
        }),
      );
    },

    services: async () => {
      const { admin } = await address();
      return [...new Set(admin?.value.map(({ service }) => service))];
    },
  };
}

function requireService(service: string, admin: Located<AdminAddress[]>): void {
  const known = [...new Set(admin.value.map((address) => address.service))];
  if (known.includes(service)) return;
  throw new UsageError(
    `no admin port is known for ${JSON.stringify(service)}; ${admin.from} has ${known.join(", ")}`,
  );
}

/** A replica set behind one name has an address per replica. Its IPv4 and IPv6 addresses are of the same processes. */
async function resolveAddresses(
  { service, url }: AdminAddress,
  findAddresses: FindAddresses,
): Promise<(AdminAddress & { serverName?: string })[]> {
  const { hostname, protocol, port } = new URL(url);
  if (isIP(hostname.replace(/^\[|\]$/g, "")) !== 0) return [{ service, url }];
  // A name that is not found is reported by the call that fails.
  const addresses = await findAddresses(hostname).catch(() => []);
  const ipv4 = addresses.filter(({ family }) => family === 4);
  const replicas = ipv4.length > 0 ? ipv4 : addresses;
  if (replicas.length === 0) return [{ service, url }];
  return replicas.map(({ address, family }) => {
    const host = family === 6 ? `[${address}]` : address;
    return {
      service,
      url: `${protocol}//${host}${port === "" ? "" : `:${port}`}`,
      ...(protocol === "https:" && { serverName: hostname }),
    };
  });
}

function rank(service: string): number {
  const index = SERVICE_ORDER.indexOf(service);
  return index === -1 ? SERVICE_ORDER.length : index;
}

function uniqueBy<T>(items: readonly T[], key: (item: T) => string): T[] {
  return [...new Map(items.map((item) => [key(item), item])).values()];
}
