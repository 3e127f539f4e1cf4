import { CallError } from "@chowhound/shared/errors/call-error";

export interface QueryTurnsOptions {
  /** How many queries run at a time. */
  atOnce: number;
  /** Of them, of one tenant: as long as it is less, one tenant can't keep the others waiting. */
  atOnceOfTenant: number;
  /** How many wait for their turn at most. */
  maxWaiting: number;
  maxWaitMs: number;
}

interface Waiter {
  tenantId: string;
  begin(): void;
}

/** Gives queries their turns: next is who has waited longest among the tenants with the fewest running. */
export class QueryTurns {
  readonly #options: QueryTurnsOptions;
  readonly #runningOf = new Map<string, number>();
  readonly #waiting = new Set<Waiter>();
  #running = 0;

  constructor(options: QueryTurnsOptions) {
    this.#options = options;
  }

  /** Runs `work` when it is its turn. Rejects with CallError "too_many_queries" where that doesn't come in time. */
  async run<T>(tenantId: string, work: () => Promise<T>): Promise<T> {
    if (this.#hasRoom(tenantId)) this.#begin(tenantId);
    else await this.#wait(tenantId);
    try {
      return await work();
    } finally {
      this.#end(tenantId);
    }
  }

  #wait(tenantId: string): Promise<void> {
    const { maxWaiting, maxWaitMs } = this.#options;
    return new Promise((resolve, reject) => {
      const giveUp = (): void => {
        this.#waiting.delete(waiter);
        reject(new CallError("too_many_queries", "the store is busy with other queries; try again later"));
      };
      const timer = setTimeout(giveUp, maxWaitMs);
      const waiter: Waiter = {
        tenantId,
        begin: () => {
          clearTimeout(timer);
          this.#waiting.delete(waiter);
          this.#begin(tenantId);
          resolve();
        },
      };
      this.#waiting.add(waiter);
      if (this.#waiting.size > maxWaiting) {
        clearTimeout(timer);
        giveUp();
      }
    });
  }

  #hasRoom(tenantId: string): boolean {
    return this.#running < this.#options.atOnce && this.#of(tenantId) < this.#options.atOnceOfTenant;
  }

  #of(tenantId: string): number {
    return this.#runningOf.get(tenantId) ?? 0;
  }

  #begin(tenantId: string): void {
    this.#running++;
    this.#runningOf.set(tenantId, this.#of(tenantId) + 1);
  }

  #end(tenantId: string): void {
    this.#running--;
    const left = this.#of(tenantId) - 1;
    if (left > 0) this.#runningOf.set(tenantId, left);
    else this.#runningOf.delete(tenantId);
    let next: Waiter | undefined;
    for (const waiter of this.#waiting) {
      if (!this.#hasRoom(waiter.tenantId)) continue;
      if (next === undefined || this.#of(waiter.tenantId) < this.#of(next.tenantId)) next = waiter;
    }
    next?.begin();
  }
}
