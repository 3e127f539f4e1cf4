import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import type { Direction, Frame, Protocol, Splitter } from "./frames.ts";

/** A point in a conversation between a client and its server: right before a message passes. */
export interface Moment {
  /** For people: "before the commit reaches PostgreSQL". */
  readonly what: string;
  readonly server: "nats" | "postgres";
  readonly direction: Direction;
  matches(frame: Frame): boolean;
}

/** A conversation that stops at a moment: the message, and all behind it in its direction, stay in the proxy. */
export interface Hold {
  /** Resolves when the moment has come. */
  readonly reached: Promise<void>;
  /** Lets go of what is held; or gives up waiting. Does nothing where the connection is gone. */
  release(): void;
}

/**
 * A TCP proxy between one client process and one server that can be told to misbehave. It passes whole messages, so it can
 * stop a conversation exactly before one.
 */
export class FaultProxy {
  readonly #protocol: Protocol;
  readonly #server: Server;
  readonly #connections = new Set<Connection>();
  readonly #holds = new Set<ArmedHold>();
  #upstreamPort = 0;
  #delayMs = 0;
  #isCutOff = false;

  constructor(protocol: Protocol) {
    this.#protocol = protocol;
    this.#server = createServer({ allowHalfOpen: true, noDelay: true }, (client) => this.#onClient(client));
  }

  async listen(): Promise<void> {
    this.#server.listen(0, "127.0.0.1");
    await once(this.#server, "listening");
  }

  /** Where the client finds the server, which listens on `upstreamPort` of this machine. */
  leadTo(upstreamPort: number): number {
    this.#upstreamPort = upstreamPort;
    return (this.#server.address() as AddressInfo).port;
  }

  /** Resets the connections there are (RST); new ones pass. */
  cut(): void {
    for (const connection of this.#connections) connection.reset();
  }

  /** Resets the connections there are, and each new one, until `heal`. */
  cutOff(): void {
    this.#isCutOff = true;
    this.cut();
  }

  /**
   * Loses whatever is sent on the connections there are, in one direction or both, and tells nobody, not even that the
   * sender has ended: what a router does that has forgotten them. New ones pass.
   */
  halfOpen(direction?: Direction): void {
    for (const connection of this.#connections) connection.swallow(direction);
  }

  /** Everything takes this much longer, each way. */
  delay(ms: number): void {
    this.#delayMs = ms;
  }

  /** Ends `cutOff` and `delay`. Connections that are half open stay so until both sides have given them up. */
  heal(): void {
    this.#isCutOff = false;
    this.#delayMs = 0;
  }

  /** Stops the first conversation that comes to the moment, right before the message passes. */
  hold(moment: Moment): Hold {
    const hold = new ArmedHold(moment, () => this.#holds.delete(hold));
    this.#holds.add(hold);
    return hold;
  }

  async close(): Promise<void> {
    this.cut();
    this.#server.close();
    await once(this.#server, "close");
  }

  #onClient(client: Socket): void {
    client.on("error", () => {});
    if (this.#isCutOff) {
      client.resetAndDestroy();
      return;
    }
    const upstream = connect({
      port: this.#upstreamPort,
      host: "127.0.0.1",
      allowHalfOpen: true,
      noDelay: true,
    });
    const connection = new Connection(client, upstream, this.#protocol, {
      delayMs: () => this.#delayMs,
      holdFor: (frame, direction) => this.#take(frame, direction),
      onEnd: () => this.#connections.delete(connection),
    });
    this.#connections.add(connection);
  }

  #take(frame: Frame, direction: Direction): ArmedHold | undefined {
    for (const hold of this.#holds) {
      if (hold.moment.direction !== direction || !hold.moment.matches(frame)) continue;
      this.#holds.delete(hold);
      return hold;
    }
    return undefined;
  }
}

class ArmedHold implements Hold {
  readonly moment: Moment;
  readonly reached: Promise<void>;
  readonly released: Promise<void>;
  readonly release: () => void;
  readonly reach: () => void;

  constructor(moment: Moment, disarm: () => void) {
    const reached = Promise.withResolvers<void>();
    const released = Promise.withResolvers<void>();
    this.moment = moment;
    this.reached = reached.promise;
    this.reach = reached.resolve;
    this.released = released.promise;
    this.release = () => {
      disarm();
      released.resolve();
    };
  }
}

interface ConnectionRules {
  delayMs(): number;
  holdFor(frame: Frame, direction: Direction): ArmedHold | undefined;
  onEnd(): void;
}

/** One client's connection and the one made for it to the server. */
class Connection {
  readonly #client: Socket;
  readonly #upstream: Socket;
  readonly #rules: ConnectionRules;
  readonly #swallowed = new Set<Direction>();

  constructor(client: Socket, upstream: Socket, protocol: Protocol, rules: ConnectionRules) {
    this.#client = client;
    this.#upstream = upstream;
    this.#rules = rules;
    for (const socket of [client, upstream]) socket.on("error", () => {});
    client.on("close", () => this.#onClose(upstream, "toServer"));
    upstream.on("close", () => this.#onClose(client, "toClient"));
    this.#forward(client, upstream, "toServer", protocol("toServer"));
    this.#forward(upstream, client, "toClient", protocol("toClient"));
  }

  reset(): void {
    this.#client.resetAndDestroy();
    this.#upstream.resetAndDestroy();
  }

  swallow(direction?: Direction): void {
    for (const each of ["toServer", "toClient"] as const)
      if (direction === undefined || direction === each) this.#swallowed.add(each);
  }

  /** One side is gone. The other one learns of it, unless what it is told gets lost. */
  #onClose(other: Socket, direction: Direction): void {
    if (!this.#swallowed.has(direction)) other.destroy();
    if (other.destroyed) this.#rules.onEnd();
  }

  #forward(from: Socket, to: Socket, direction: Direction, splitter: Splitter): void {
    let isHeld = false;
    let last: Promise<void> = Promise.resolve();
    const pass = async (frame: Frame): Promise<void> => {
      const hold = this.#rules.holdFor(frame, direction);
      if (hold !== undefined) {
        isHeld = true;
        hold.reach();
        await hold.released;
        isHeld = false;
      }
      if (!this.#swallowed.has(direction) && !to.destroyed) to.write(frame.bytes);
    };
    from.on("data", (chunk) => {
      const delayMs = this.#rules.delayMs();
      last = last.then(async () => {
        if (delayMs > 0) await sleep(delayMs);
        for (const frame of splitter.push(chunk)) await pass(frame);
      });
    });
    from.on("end", () => {
      if (this.#swallowed.has(direction)) return;
      // Who ends while something of it is held is gone; what is held was never sent.
      if (isHeld) to.destroy();
      else void last.then(() => to.end());
    });
  }
}
