import { ServiceState } from "@chowhound/shared/contracts/chowhound/v1/admin_service";

export { ServiceState };

/** Something the process cannot work without. */
export interface Dependency {
  up(): void;
  /** @param why for a person, shown by GetStatus */
  down(why: string): void;
}

/**
 * What a process is doing and what it waits for; health and GetStatus follow it. It is serving when it is running and
 * every dependency is up.
 */
export class ServiceStatus {
  readonly startedAt = new Date();
  #state: ServiceState = ServiceState.STARTING;
  readonly #waiting = new Map<string, string>();
  /** Each with the name of the one it is reached through, if any. */
  readonly #dependencies = new Map<string, string | undefined>();
  readonly #listeners = new Set<() => void>();

  get state(): ServiceState {
    return this.#state;
  }

  set state(state: ServiceState) {
    if (state === this.#state) return;
    this.#state = state;
    this.#changed();
  }

  /** What the process waits for, each as "name: why". */
  get waitingFor(): string[] {
    return [...this.#waiting].map(([name, why]) => `${name}: ${why}`);
  }

  get isServing(): boolean {
    return this.#state === ServiceState.RUNNING && this.#waiting.size === 0;
  }

  /**
   * Declares a dependency, down at first. Its name is also the name of its health service.
   *
   * @param through another one without which it is out of reach, whatever was known of it last
   */
  dependency(name: string, { through }: { through?: string } = {}): Dependency {
    const dependency: Dependency = {
      up: () => {
        if (this.#waiting.delete(name)) this.#changed();
      },
      down: (why) => {
        const changed = !this.#waiting.has(name);
        this.#waiting.set(name, why);
        if (changed) this.#changed();
      },
    };
    this.#dependencies.set(name, through);
    this.#waiting.set(name, "not connected yet");
    this.#changed();
    return dependency;
  }

  /** Each dependency and whether it is up. */
  get dependencies(): { name: string; isUp: boolean }[] {
    return [...this.#dependencies].map(([name, through]) => ({
      name,
      isUp: !this.#waiting.has(name) && (through === undefined || !this.#waiting.has(through)),
    }));
  }

  /** Calls back after every change of state or of a dependency. */
  onChange(listener: () => void): void {
    this.#listeners.add(listener);
  }

  #changed(): void {
    for (const listener of this.#listeners) listener();
  }
}
