import type { Msg, NatsConnection } from "@nats-io/transport-node";
import type { Logger } from "../runtime/logger.ts";

export interface ListenOptions {
  /** Whoever listens with the same one shares the messages. */
  queue?: string;
  log: Logger;
  /** Must not throw. */
  onMessage(message: Msg): void;
}

export interface Listening {
  /** Hears nothing new; resolves when what has come in was handed over. */
  stop(): Promise<void>;
}

const AGAIN_MS = 1_000;

/**
 * Hears plain NATS messages for as long as the connection lives. A server that takes away the right to do so, even for the moment of a
 * wrong configuration, ends a subscription for good: it is begun anew until it lasts.
 */
export function listen(
  nc: NatsConnection,
  subject: string,
  { queue, log, onMessage }: ListenOptions,
): Listening {
  let timer: NodeJS.Timeout | undefined;
  const subscribe = () =>
    nc.subscribe(subject, {
      ...(queue !== undefined && { queue }),
      callback: (error, message) => {
        if (error === null) return onMessage(message);
        log.warn({ subject, why: error.message }, "a subscription has ended: trying again");
        clearTimeout(timer);
        timer = setTimeout(() => {
          if (!nc.isClosed() && subscription.isClosed()) subscription = subscribe();
        }, AGAIN_MS);
      },
    });
  let subscription = subscribe();
  return {
    stop: async () => {
      clearTimeout(timer);
      await subscription.drain().catch(() => {});
    },
  };
}
