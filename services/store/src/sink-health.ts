import type { Dependency } from "@chowhound/shared/runtime/service-status";

/** Whether the sink can be worked with: it answers the probe, and the last write went through. */
export class SinkHealth {
  readonly #dependency: Dependency;
  readonly #failing = new Map<string, string>();

  constructor(dependency: Dependency) {
    this.#dependency = dependency;
  }

  /** @param why undefined where the sink answered */
  probed(why: string | undefined): void {
    // It was away and is back: what a write failed of in the meantime is no news.
    if (why === undefined && this.#failing.has("probe")) this.#failing.clear();
    this.#note("probe", why);
  }

  /** @param why undefined where a group was written */
  wrote(why: string | undefined): void {
    this.#note("writing", why);
  }

  #note(what: string, why: string | undefined): void {
    if (why === undefined) this.#failing.delete(what);
    else this.#failing.set(what, why);
    const [trouble] = this.#failing.values();
    if (trouble === undefined) this.#dependency.up();
    else this.#dependency.down(trouble);
  }
}
