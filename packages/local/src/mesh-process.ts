import { type ChildExit, describeExit, type ServerChild } from "./server-child.ts";

/** A process did not end as it should have; one line each. */
export class MeshStopError extends Error {
  override readonly name = "MeshStopError";
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(problems.join("\n"));
    this.problems = problems;
  }
}

/** How a process ended that nobody had asked to. */
export interface UnexpectedExit {
  process: MeshProcess;
  exit: ChildExit;
  /** What it said last. */
  logTail: string;
}

/** One process of a mesh: a server or a service, which can be killed and started again on the same ports and data. */
export class MeshProcess {
  /** "nats", "postgres", or the service; its replicas have a number from 2 on, as in "enricher-2". */
  readonly name: string;
  /** By purpose: "admin", "grpc", "http"; "main" for the servers. */
  readonly ports: Readonly<Record<string, number>>;
  readonly logFile: string;
  readonly #spawn: (signal: AbortSignal) => Promise<ServerChild>;
  readonly #closing = new AbortController();
  readonly #watchers = new Set<(exit: UnexpectedExit) => void>();
  readonly #toldToStop = new WeakSet<ServerChild>();
  #child: ServerChild | undefined;
  /** Starts and stops happen one after the other. */
  #queue: Promise<unknown> = Promise.resolve();

  constructor(options: {
    name: string;
    ports: Readonly<Record<string, number>>;
    logFile: string;
    spawn: (signal: AbortSignal) => Promise<ServerChild>;
  }) {
    this.name = options.name;
    this.ports = options.ports;
    this.logFile = options.logFile;
    this.#spawn = options.spawn;
  }

  /** Undefined while it doesn't run. */
  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** Sends a signal, for fault tests; nobody waits for anything. */
  kill(signal: NodeJS.Signals = "SIGKILL"): void {
    this.#child?.kill(signal);
  }

  /** Resolves once it doesn't run. */
  async exited(): Promise<void> {
    await this.#child?.exited;
  }

  /** Stops it in an orderly way if it runs, starts it, and waits until it is ready. */
  restart(): Promise<void> {
    return this.#enqueue(async () => {
      await this.#stopChild();
      this.#closing.signal.throwIfAborted();
      const child = await this.#spawn(this.#closing.signal);
      this.#child = child;
      void child.exited.then((exit) => this.#onExit(child, exit));
    });
  }

  /** Stops it for good, also half way through a start. Throws MeshStopError where it had to be killed or failed. */
  stop(): Promise<void> {
    this.#closing.abort(new Error(`${this.name} is being stopped`));
    return this.#enqueue(async () => {
      const exit = await this.#stopChild();
      if (exit === undefined || exit.code === 0) return;
      const how =
        exit.signal === "SIGKILL" ? "did not end in time and was killed" : `ended with ${describeExit(exit)}`;
      throw new MeshStopError([`${this.name} ${how}, see ${this.logFile}`]);
    });
  }

  /** Tells when it ends without having been asked to by `restart` or `stop`. @returns ends that */
  onUnexpectedExit(watcher: (exit: UnexpectedExit) => void): () => void {
    this.#watchers.add(watcher);
    return () => void this.#watchers.delete(watcher);
  }

  #enqueue<T>(action: () => Promise<T>): Promise<T> {
    const result = this.#queue.then(action);
    this.#queue = result.catch(() => {});
    return result;
  }

  async #stopChild(): Promise<ChildExit | undefined> {
    const child = this.#child;
    if (child === undefined) return undefined;
    this.#toldToStop.add(child);
    await child.stop();
    return child.exited;
  }

  async #onExit(child: ServerChild, exit: ChildExit): Promise<void> {
    if (child === this.#child) this.#child = undefined;
    if (this.#toldToStop.has(child) || this.#watchers.size === 0) return;
    const logTail = await child.logTail().catch(() => "");
    for (const watcher of this.#watchers) watcher({ process: this, exit, logTail });
  }
}
