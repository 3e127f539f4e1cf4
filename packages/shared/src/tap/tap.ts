import type { TailRequest } from "@chowhound/shared/contracts/chowhound/v1/tap_service";
import { CallError } from "../errors/call-error.ts";
import { RecordSight } from "./record-sight.ts";
import { readTailRequest } from "./tail-filter.ts";
import { TapReader, type TapReaderOptions } from "./tap-reader.ts";
import type { TapSource } from "./tap-source.ts";

/** How many may watch one process at the same time. */
export const MAX_READERS = 8;

/** What a tap leaves to time and to chance. */
export interface TapChance {
  /** Milliseconds of a clock that never goes back. */
  now(): number;
  /** From 0 up to 1. */
  random(): number;
}

/**
 * Where a process shows what passes. A stage asks `isOpen` once per batch, and shows the batch only then: while nobody
 * watches, that question is all it costs.
 */
export class Tap {
  readonly #readers = new Set<TapReader>();
  readonly #chance: TapChance;
  #isClosed = false;

  /** @param chance for tests */
  constructor(chance: TapChance = { now: () => performance.now(), random: () => Math.random() }) {
    this.#chance = chance;
  }

  /** Whether somebody watches. */
  get isOpen(): boolean {
    return this.#readers.size > 0;
  }

  /** Shows records to all who watch, each as far as they want it. */
  show(source: TapSource): void {
    const sight = new RecordSight(source);
    const nowMs = this.#chance.now();
    for (let index = 0; index < source.count; index++) {
      sight.moveTo(index);
      for (const reader of this.#readers) reader.offer(sight, nowMs);
    }
    for (const reader of this.#readers) reader.wake();
  }

  /** Throws CallError invalid_tail, too_many_taps, shutting_down. Whoever watches has to `leave`. */
  watch(request: TailRequest, on: Pick<TapReaderOptions, "onPending" | "onClosed">): TapReader {
    const filter = readTailRequest(request);
    if (this.#isClosed) throw new CallError("shutting_down", "the process is draining");
    if (this.#readers.size >= MAX_READERS)
      throw new CallError(
        "too_many_taps",
        `${MAX_READERS} taps are open on this process, which is all it has; end another one`,
        { metadata: { limit: `${MAX_READERS}` } },
      );
    const reader = new TapReader({ filter, ...on, random: this.#chance.random });
    this.#readers.add(reader);
    return reader;
  }

  leave(reader: TapReader): void {
    this.#readers.delete(reader);
  }

  /** Ends every tap, for good. */
  close(): void {
    this.#isClosed = true;
    for (const reader of this.#readers) {
      this.leave(reader);
      reader.closed();
    }
  }
}
