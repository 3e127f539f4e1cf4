import { availableParallelism } from "node:os";
import { setFlagsFromString } from "node:v8";

/** A whole mesh with its servers keeps fewer cores than these busy. */
const CORES_TO_SPARE = 8;

/**
 * Tells V8 how to collect the heap of a process through which large buffers pass. By default it looks at buffers apart from the heap
 * and marks all of it anew for every 64 MiB of them, however small it is: some dozen batches. Counted with the heap, they are collected
 * when both together have doubled. Call it before there is anything to collect.
 *
 * V8 also learns where in the program things are made that live long, and makes those among the old ones at once. What a batch is decoded to
 * lives for some milliseconds, but long enough to be taken for such: then every batch lived, with its buffers, until the next full
 * collection, and brought it about.
 *
 * Its helper threads shorten the collection of young objects where there are cores for them. Where there are not, the main thread waits for
 * helpers that wait for their turn on a core; so there it does that alone.
 *
 * The young generation is bounded where a process is started, for V8 takes that only on the command line:
 * `--max-semi-space-size=16`, in MiB. Without it, it grows to 128 MiB, of which nothing here needs a quarter. dedup, which passes buffers on
 * and makes few objects around them, has 4: buffers are freed only as often as the objects are collected.
 */
export function setHeapPolicy(): void {
  setFlagsFromString("--external-memory-accounted-in-global-limit");
  setFlagsFromString("--heap-growing-percent=100");
  setFlagsFromString("--no-allocation-site-pretenuring");
  if (availableParallelism() < CORES_TO_SPARE) setFlagsFromString("--no-parallel-scavenge");
}
