import { type FileHandle, open } from "node:fs/promises";
import type { JsonValue } from "@bufbuild/protobuf";
import { UsageError } from "../cli-error.ts";

/** A file that lines of JSON are written to. */
export interface LineFile {
  /** Buffered until `flush`, which is to follow soon. */
  write(value: JsonValue): void;
  flush(): Promise<void>;
  close(): Promise<void>;
}

/** @throws {UsageError} where it can't be written */
export async function openLineFile(path: string, { append }: { append: boolean }): Promise<LineFile> {
  let file: FileHandle;
  try {
    file = await open(path, append ? "a" : "w");
  } catch (cause) {
    throw new UsageError(`can't write ${path}: ${(cause as Error).message}`, { cause });
  }
  return createLineFile(
    (text) => file.write(text),
    () => file.close(),
  );
}

/** Lines into something that is open already, such as stdout. */
export function createLineFile(
  write: (text: string) => Promise<unknown>,
  close: () => Promise<void> = async () => {},
): LineFile {
  let lines = "";
  const flush = async (): Promise<void> => {
    const text = lines;
    lines = "";
    if (text !== "") await write(text);
  };
  return {
    write: (value) => {
      lines += `${JSON.stringify(value)}\n`;
    },
    flush,
    close: async () => {
      await flush();
      await close();
    },
  };
}
