import { setTimeout as sleep } from "node:timers/promises";
import {
  type ClientReadableStream,
  credentials,
  makeClientConstructor,
  type ServiceError,
} from "@grpc/grpc-js";
import { service as healthDefinition } from "grpc-health-check";

/** As grpc.health.v1 numbers its answers. */
export type ServingStatus = "UNKNOWN" | "SERVING" | "NOT_SERVING" | "SERVICE_UNKNOWN";
interface Answer {
  status: ServingStatus;
}

/** A client of grpc.health.v1 as probes and load balancers have one. */
export interface Health {
  check(service: string): Promise<ServingStatus>;
  list(): Promise<Record<string, ServingStatus>>;
  /** The latest status of a service, from a Watch that is opened at the first question. */
  watched(service: string): ServingStatus | undefined;
  close(): void;
}

export function createHealth(address: string): Health {
  const Client = makeClientConstructor(healthDefinition, "Health");
  const client = new Client(address, credentials.createInsecure());
  const latest = new Map<string, ServingStatus | undefined>();
  const unary = <T>(method: "check" | "list", request: object): Promise<T> =>
    new Promise((resolve, reject) => {
      client[method]!(request, (error: ServiceError | null, answer: T) =>
        error === null ? resolve(answer) : reject(error),
      );
    });
  return {
    check: async (service) => (await unary<Answer>("check", { service })).status,
    list: async () => {
      const { statuses } = await unary<{ statuses: Record<string, Answer> }>("list", {});
      return Object.fromEntries(Object.entries(statuses).map(([name, { status }]) => [name, status]));
    },
    watched: (service) => {
      if (!latest.has(service)) {
        latest.set(service, undefined);
        const watch: ClientReadableStream<Answer> = client.watch!({ service });
        watch.on("data", ({ status }: Answer) => latest.set(service, status));
        watch.on("error", () => latest.set(service, undefined));
      }
      return latest.get(service);
    },
    close: () => client.close(),
  };
}

/** Waits until Watch tells this status of every one of the services. Returns the ones that took longer than `withinMs`. */
export async function untilWatched(
  wanted: readonly (readonly [name: string, health: Health, services: readonly string[]])[],
  status: ServingStatus,
  withinMs: number,
): Promise<string[]> {
  const startedMs = performance.now();
  const others = (): string[] =>
    wanted.flatMap(([name, health, services]) =>
      services
        .filter((service) => health.watched(service) !== status)
        .map((service) => `${name}: ${JSON.stringify(service)} is ${health.watched(service)}`),
    );
  while (others().length > 0 && performance.now() - startedMs < withinMs) await sleep(5);
  return others();
}
