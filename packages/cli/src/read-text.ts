import { readFile } from "node:fs/promises";
import type { Readable } from "node:stream";
import { text } from "node:stream/consumers";
import { UsageError } from "./cli-error.ts";

/**
 * A whole file as text.
 *
 * @param source a path, or "-" for standard input
 * @throws {UsageError} where it can't be read
 */
export async function readText(source: string, stdin: Readable): Promise<string> {
  try {
    return source === "-" ? await text(stdin) : await readFile(source, "utf8");
  } catch (cause) {
    throw new UsageError(`can't read ${source}: ${(cause as Error).message}`, { cause });
  }
}
