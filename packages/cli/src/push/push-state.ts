import { createHash } from "node:crypto";
import { mkdir, open, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { UsageError } from "../cli-error.ts";
import { compareIdentities, type PushIdentity } from "./push-identity.ts";
import type { PushCounts } from "./settled-counts.ts";

/** Up to where every record is answered: accepted, or rejected. */
export interface PushPosition {
  /** Which of the inputs, from 0; those before it are done. */
  input: number;
  /** As SourceRecord.endBytes, of that input. */
  endBytes: number;
}

/** What a file must still be to go on in it. */
interface FileIdentity {
  path: string;
  sizeBytes: number;
  mtimeMs: number;
  /** SHA-256 of the first 4 KiB. */
  head: string;
}

interface StateFile {
  version: 2;
  push: PushIdentity;
  inputs: FileIdentity[];
  position: PushPosition;
  counts: PushCounts;
}

const SAVE_EVERY_MS = 1000;
const HEAD_BYTES = 4096;

/** Notes how far a push has come, so that another one can go on from there. */
export interface PushState {
  path: string;
  /** Where the push before this one has ended; undefined where there was none. */
  from: PushPosition | undefined;
  /** What had become of the records up to there. As `from`. */
  counts: PushCounts | undefined;
  /** Notes it; to disk within a second. `beforeSave` resolves before that. */
  advance(position: PushPosition, counts: PushCounts): Promise<void>;
  save(): Promise<void>;
  /** Everything is answered: nothing is left to go on with. */
  remove(): Promise<void>;
}

/** In the current directory, so that it is found, and thrown away, with what is pushed from there. */
export function defaultStatePath(files: readonly string[]): string {
  const paths = files.map((file) => resolve(file)).join("\n");
  return join(".chow-push", `${createHash("sha256").update(paths).digest("hex").slice(0, 16)}.json`);
}

/**
 * @param options.beforeSave writes what must be on disk before the position is
 * @throws {UsageError} where the state is of other files or another push, or the files have changed since
 */
export async function openPushState(
  files: readonly string[],
  { path, push, beforeSave }: { path: string; push: PushIdentity; beforeSave(): Promise<void> },
): Promise<PushState> {
  const inputs = await Promise.all(files.map(identify));
  const before = await readState(path);
  if (before !== undefined) {
    checkUnchanged(before.inputs, inputs, path);
    checkSamePush(before.push, push, path);
  }
  let reached: Pick<StateFile, "position" | "counts"> | undefined = before;
  let savedMs = performance.now();
  const save = async (): Promise<void> => {
    await beforeSave();
    if (reached === undefined) return;
    const { position, counts } = reached;
    const state: StateFile = { version: 2, push, inputs, position, counts };
    await mkdir(dirname(path), { recursive: true });
    await writeFile(`${path}.new`, `${JSON.stringify(state, null, 2)}\n`);
    await rename(`${path}.new`, path);
    savedMs = performance.now();
  };
  return {
    path,
    from: before?.position,
    counts: before?.counts,
    advance: async (position, counts) => {
      reached = { position, counts };
      if (performance.now() - savedMs > SAVE_EVERY_MS) await save();
    },
    save,
    remove: () => rm(path, { force: true }),
  };
}

async function readState(path: string): Promise<StateFile | undefined> {
  try {
    const state = JSON.parse(await readFile(path, "utf8")) as StateFile;
    if (state.version === 2) return state;
    throw new Error(`version ${state.version}`);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    const why = (cause as Error).message;
    throw new UsageError(`${path} is not the state of a push (${why}); remove it to push from the start`, {
      cause,
    });
  }
}

function checkUnchanged(before: readonly FileIdentity[], now: readonly FileIdentity[], path: string): void {
  const remedy = startOver(path);
  if (before.map((file) => file.path).join("\n") !== now.map((file) => file.path).join("\n"))
    throw new UsageError(
      `${path} is the state of a push of other files (${before.map((file) => file.path).join(", ")}); ${remedy}`,
    );
  for (const [i, file] of now.entries()) {
    const { sizeBytes, mtimeMs, head } = before[i]!;
    if (file.sizeBytes !== sizeBytes || file.mtimeMs !== mtimeMs || file.head !== head)
      throw new UsageError(`${file.path} has changed since the push that ${path} is of; ${remedy}`);
  }
}

/** What another mesh, key or way to read the files has got is not what this one is to get. */
function checkSamePush(before: PushIdentity, now: PushIdentity, path: string): void {
  const differences = compareIdentities(before, now);
  if (differences.length === 0) return;
  throw new UsageError(
    [
      `${path} is the state of another push of these files:`,
      ...differences.map((difference) => `  ${difference}`),
      `push as then, give this push a --state of its own, or ${startOver(path)}`,
    ].join("\n"),
  );
}

function startOver(path: string): string {
  return `remove ${path} to push from the start: what is in already is not landed twice`;
}

async function identify(file: string): Promise<FileIdentity> {
  try {
    const { size, mtimeMs } = await stat(file);
    const handle = await open(file);
    try {
      const { buffer, bytesRead } = await handle.read(Buffer.alloc(HEAD_BYTES), 0, HEAD_BYTES, 0);
      const head = createHash("sha256").update(buffer.subarray(0, bytesRead)).digest("hex");
      return { path: resolve(file), sizeBytes: size, mtimeMs, head };
    } finally {
      await handle.close();
    }
  } catch (cause) {
    throw new UsageError(`can't read ${file}: ${(cause as Error).message}`, { cause });
  }
}
