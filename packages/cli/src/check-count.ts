import { UsageError } from "./cli-error.ts";

/** @param option for the error, such as "--limit" @throws {UsageError} where it is no whole number from 1 */
export function checkCount(count: number, option: string): number {
  if (Number.isSafeInteger(count) && count >= 1) return count;
  throw new UsageError(`${option}: give a whole number from 1`);
}
