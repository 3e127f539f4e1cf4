/** One incarnation of a process. */
export class Life {
  hasEnded = false;
}

/** What a process meets at its next step after it has been killed: none of what follows happens. */
export class KilledError extends Error {
  override name = "KilledError";
}

interface Step {
  life: Life;
  what: string;
  go(): void;
  fail(error: Error): void;
}

/**
 * The points between which a process of the model can be held up, overtaken or killed. A process waits at each for its
 * turn; who goes next is for the history to say.
 */
export class Steps {
  /** What has gone wrong that must not. */
  readonly bugs: unknown[] = [];
  #open: Step[] = [];

  get open(): readonly Step[] {
    return this.#open;
  }

  /** Resolves when the turn has come. Rejects where the process has been killed before. */
  turn(life: Life, what: string): Promise<void> {
    if (life.hasEnded) return Promise.reject(new KilledError(what));
    return new Promise((resolve, reject) => {
      const remove = (): void => {
        this.#open = this.#open.filter((other) => other !== step);
      };
      const step: Step = {
        life,
        what,
        go: () => {
          remove();
          resolve();
        },
        fail: (error) => {
          remove();
          reject(error);
        },
      };
      this.#open.push(step);
    });
  }

  /** Looks after work that nobody waits for: to be killed is part of the game, anything else is a bug. */
  runs(work: Promise<unknown>): void {
    work.catch((error: unknown) => {
      if (!(error instanceof KilledError)) this.bugs.push(error);
    });
  }

  kill(life: Life): void {
    life.hasEnded = true;
    for (const step of this.#open) if (step.life === life) step.fail(new KilledError(step.what));
  }
}
