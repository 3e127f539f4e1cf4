import type { CommitDurability } from "@chowhound/shared/contracts/chowhound/v1/admin_service";
import { DurabilityLevel } from "@chowhound/shared/contracts/chowhound/v1/ingestion_service";
import { pause } from "@chowhound/shared/runtime/backoff";
import { createDurabilityLog } from "@chowhound/shared/runtime/durability-log";
import type { Logger } from "@chowhound/shared/runtime/logger";

export interface CommitWatchOptions {
  /** Asks a store; UNKNOWN where none answers. */
  ask(): Promise<CommitDurability>;
  log: Logger;
  signal: AbortSignal;
}

const LOOK_AGAIN_MS = 30_000;
/** A gateway is there before its store. */
const FIRST_ANSWER_MS = 1_000;

/**
 * Knows what a commit is worth, since an accepted record is no safer than that in the end: asks a store at the start and
 * every half minute. Logs what it hears, and again when that has changed.
 */
export class CommitWatch {
  readonly #options: CommitWatchOptions;
  readonly #logChange;
  #level: DurabilityLevel = DurabilityLevel.UNKNOWN;

  constructor(options: CommitWatchOptions) {
    this.#options = options;
    this.#logChange = createDurabilityLog("committed records", options.log);
  }

  /** What a store said last: that it is away for a while changes nothing. */
  get level(): DurabilityLevel {
    return this.#level;
  }

  /** Until the signal is aborted. */
  async run(): Promise<void> {
    const { signal } = this.#options;
    do await this.look();
    while (await pause(this.#level === DurabilityLevel.UNKNOWN ? FIRST_ANSWER_MS : LOOK_AGAIN_MS, signal));
  }

  /** Asks now. */
  async look(): Promise<CommitDurability> {
    const report = await this.#options.ask();
    if (report.level !== DurabilityLevel.UNKNOWN) {
      this.#level = report.level;
      this.#logChange(report);
    }
    return report;
  }
}

/** What an accepted record is worth over its whole way: as much as the less safe part of it. */
export function weaker(a: DurabilityLevel, b: DurabilityLevel): DurabilityLevel {
  // The levels are numbered from nothing up.
  return a < b ? a : b;
}
