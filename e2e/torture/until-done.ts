import { waitUntil } from "../faults/harness/patience.ts";

/** Tries until it succeeds: whatever is in the way (a server that is away, a lock) passes. Throws where it doesn't. */
export async function untilDone<T>(what: string, action: () => Promise<T>): Promise<T> {
  let result: { value: T } | undefined;
  let why = "";
  await waitUntil(what, {
    async isDone() {
      try {
        result = { value: await action() };
      } catch (error) {
        why = (error as Error).message;
      }
      return result !== undefined;
    },
    progress: async () => why,
    pollMs: 200,
  });
  return result!.value;
}
