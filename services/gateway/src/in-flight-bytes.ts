interface Waiter {
  tenantId: string;
  bytes: number;
  admit(): void;
}

/**
 * Counts the bytes between arrival and acknowledgement, in total and per tenant: what bounds the gateway's memory, and
 * what one tenant can take of it.
 */
export class InFlightBytes {
  readonly #totalLimit: number;
  readonly #tenantLimit: number;
  #total = 0;
  readonly #ofTenant = new Map<string, number>();
  readonly #waiting = new Set<Waiter>();

  constructor(totalLimit: number, tenantLimit: number) {
    this.#totalLimit = totalLimit;
    this.#tenantLimit = tenantLimit;
  }

  /** What a tenant may take at most. */
  get tenantLimit(): number {
    return this.#tenantLimit;
  }

  get total(): number {
    return this.#total;
  }

  /**
   * Takes room, waiting for it up to `waitMs`; earlier waiters of a tenant come first. Returns false where there was
   * none. Whoever got true must `release` the same bytes.
   */
  async take(tenantId: string, bytes: number, waitMs = 0): Promise<boolean> {
    if (!this.#isQueued(tenantId) && this.#tryTake(tenantId, bytes)) return true;
    if (waitMs === 0) return false;
    return await new Promise((resolve) => {
      const timer = setTimeout(() => {
        this.#waiting.delete(waiter);
        resolve(false);
      }, waitMs);
      const waiter: Waiter = {
        tenantId,
        bytes,
        admit: () => {
          clearTimeout(timer);
          resolve(true);
        },
      };
      this.#waiting.add(waiter);
    });
  }

  release(tenantId: string, bytes: number): void {
    this.#total -= bytes;
    const left = (this.#ofTenant.get(tenantId) ?? 0) - bytes;
    if (left > 0) this.#ofTenant.set(tenantId, left);
    else this.#ofTenant.delete(tenantId);
    const passedOver = new Set<string>();
    for (const waiter of this.#waiting) {
      if (passedOver.has(waiter.tenantId)) continue;
      if (this.#tryTake(waiter.tenantId, waiter.bytes)) {
        this.#waiting.delete(waiter);
        waiter.admit();
      } else {
        passedOver.add(waiter.tenantId);
      }
    }
  }

  #isQueued(tenantId: string): boolean {
    for (const waiter of this.#waiting) if (waiter.tenantId === tenantId) return true;
    return false;
  }

  #tryTake(tenantId: string, bytes: number): boolean {
    const ofTenant = this.#ofTenant.get(tenantId) ?? 0;
    if (this.#total + bytes > this.#totalLimit || ofTenant + bytes > this.#tenantLimit) return false;
    this.#total += bytes;
    this.#ofTenant.set(tenantId, ofTenant + bytes);
    return true;
  }
}
