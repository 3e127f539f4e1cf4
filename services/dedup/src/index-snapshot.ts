/**
 * Keeps a fingerprint index on the local disk, so that a restart does not begin with an empty one.
 *
 *     magic, format version, bucket bytes, bucket count   16 bytes, in the byte order of the machine
 *     the buckets as they lie in memory
 *     JSON: the generation the index is bound to, and the last batches it has absorbed, each with its generation
 *     CRC-32 of all before                                 4 bytes
 *
 * A snapshot is a cache of a cache. One that is damaged, or of another shape, is not repaired: the index starts empty.
 *
 * Replicas may keep their index in the same place. They hear the same commit notices, and each snapshot is whole and
 * names its own evidence, so it doesn't matter whose is read. The unfinished file is their lock: one of them writes at
 * a time. Should two ever write into one another, the checksum tells.
 */
import { type FileHandle, open, rename, rm, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { crc32 } from "node:zlib";
import type { Binding } from "@chowhound/shared/evidence/drop-license";
import {
  bucketBytes,
  createFingerprintIndex,
  type FingerprintIndex,
  type FingerprintIndexSize,
} from "@chowhound/shared/evidence/fingerprint-index";

/** A failed save; the snapshot before it is still in place. The cause says what went wrong. */
export class SnapshotError extends Error {
  override name = "SnapshotError";
}

export interface IndexSnapshot {
  /**
   * Writes the index beside its last snapshot and puts it in that one's place. Saves run one after another.
   *
   * The index may change meanwhile: all it takes on under one binding is committed, so a mixture of its states is as
   * good as any of them. When the binding changes, the mixture could claim too much, and the save is `abandoned`.
   * - `unbound`: the index is bound to no generation, so there is nothing to save.
   * - `busy`: another process is saving in the same place, or was killed doing so within the last minute.
   * @throws SnapshotError when the disk refuses.
   */
  save(
    index: FingerprintIndex,
    binding: () => Binding | undefined,
  ): Promise<"saved" | "abandoned" | "unbound" | "busy">;

  /** Reads the index back. Never rejects on account of the file: then the index is empty and `reason` says why. */
  load(size: FingerprintIndexSize): Promise<LoadedIndex>;
}

export type LoadedIndex =
  | {
      readonly index: FingerprintIndex;
      readonly binding: Pick<Binding, "generation" | "recent">;
    }
  | { readonly index: FingerprintIndex; readonly binding?: undefined; readonly reason: string };

const magic = 0x5846_4843; // "CHFX", and another number on a machine of the other byte order
const formatVersion = 2;
const headerBytes = 16;
const checksumBytes = 4;
/** Copying and checksumming this much takes about a tenth of a millisecond; the event loop is free in between. */
const chunkBytes = 1024 * bucketBytes;
/** Generations and batch ids take some 40 KiB; a file that claims much more is no snapshot. */
const maxLabelBytes = 1024 * 1024;
/** An unfinished file that nobody has written to for so long was left behind by a process that is gone. */
const leftoverAgeMs = 60_000;

/** The snapshot at `path`; `<path>.tmp` is written on the way and never read. */
export function createIndexSnapshot(path: string): IndexSnapshot {
  let lastSave: Promise<unknown> = Promise.resolve();
  return {
    save(index, binding) {
      const save = lastSave.then(() => saveTo(path, index, binding));
      lastSave = save.catch(() => {});
      return save;
    },
    load: (size) => loadFrom(path, size),
  };
}

async function saveTo(path: string, index: FingerprintIndex, binding: () => Binding | undefined) {
  const before = binding();
  if (before === undefined) return "unbound";
  const temporary = `${path}.tmp`;
  const file = await createAlone(temporary).catch((cause: unknown) => {
    throw new SnapshotError(`cannot save the fingerprint index to ${path}`, { cause });
  });
  if (file === undefined) return "busy";
  try {
    const complete = await finish(file, async () => {
      const write = checksummedWriter(file);
      await write(headerOf(index));
      const chunk = Buffer.alloc(chunkBytes);
      for (let position = 0; position < index.bytes; ) {
        const copied = index.copyOut(position, chunk);
        await write(chunk.subarray(0, copied));
        position += copied;
      }
      // Taken after the entries: the batches listed must include the last ones whose entries were copied.
      const after = binding();
      if (after?.serial !== before.serial) return false;
      await write(Buffer.from(JSON.stringify({ generation: after.generation, recent: after.recent })));
      await write(checksumOf(write.crc()));
      return true;
    });
    if (!complete) {
      await rm(temporary, { force: true });
      return "abandoned";
    }
    await rename(temporary, path);
    await syncDirectory(dirname(path));
    return "saved";
  } catch (cause) {
    await rm(temporary, { force: true }).catch(() => {});
    throw new SnapshotError(`cannot save the fingerprint index to ${path}`, { cause });
  }
}

async function loadFrom(path: string, size: FingerprintIndexSize): Promise<LoadedIndex> {
  const index = createFingerprintIndex(size);
  try {
    const file = await open(path, "r");
    try {
      return { index, binding: await readInto(index, file) };
    } finally {
      await file.close();
    }
  } catch (error) {
    index.clear();
    const missing = error instanceof Error && "code" in error && error.code === "ENOENT";
    return { index, reason: missing ? "there is no snapshot" : describe(error) };
  }
}

/** Fills the index; throws with a plain reason when the file is not a sound snapshot of an index of this capacity. */
async function readInto(index: FingerprintIndex, file: FileHandle) {
  const { size } = await file.stat();
  const labelBytes = size - headerBytes - index.bytes - checksumBytes;
  if (size < headerBytes) throw new Error("the snapshot is truncated");

  const header = await readExactly(file, 0, Buffer.alloc(headerBytes));
  checkHeader(header, index);
  if (labelBytes < 0) throw new Error("the snapshot is truncated");
  if (labelBytes > maxLabelBytes) throw new Error("the snapshot is longer than it says");

  let crc = crc32(header);
  const buffer = Buffer.alloc(chunkBytes);
  for (let position = 0; position < index.bytes; position += chunkBytes) {
    const chunk = buffer.subarray(0, Math.min(chunkBytes, index.bytes - position));
    await readExactly(file, headerBytes + position, chunk);
    crc = crc32(chunk, crc);
    index.copyIn(position, chunk);
  }
  const rest = await readExactly(file, headerBytes + index.bytes, Buffer.alloc(labelBytes + checksumBytes));
  const label = rest.subarray(0, labelBytes);
  if (!checksumOf(crc32(label, crc)).equals(rest.subarray(labelBytes))) {
    throw new Error("the snapshot is damaged: its checksum differs");
  }
  return JSON.parse(label.toString()) as Pick<Binding, "generation" | "recent">;
}

function headerOf(index: FingerprintIndex): Buffer {
  const fields = Uint32Array.of(magic, formatVersion, bucketBytes, index.bytes / bucketBytes);
  return Buffer.from(fields.buffer);
}

function checkHeader(header: Buffer, index: FingerprintIndex): void {
  const expected = headerOf(index);
  if (!header.subarray(0, 4).equals(expected.subarray(0, 4))) throw new Error("this is no snapshot");
  if (!header.subarray(4, 8).equals(expected.subarray(4, 8))) {
    throw new Error("the snapshot has another format version");
  }
  if (!header.equals(expected)) throw new Error("the snapshot is of an index of another capacity");
}

function checksumOf(crc: number): Buffer {
  return Buffer.from(Uint32Array.of(crc).buffer);
}

function checksummedWriter(file: FileHandle) {
  let crc = 0;
  const write = async (bytes: Buffer): Promise<void> => {
    crc = crc32(bytes, crc);
    for (let written = 0; written < bytes.length; ) {
      written += (await file.write(bytes, written)).bytesWritten;
    }
  };
  return Object.assign(write, { crc: () => crc });
}

async function readExactly(file: FileHandle, position: number, into: Buffer): Promise<Buffer> {
  for (let filled = 0; filled < into.length; ) {
    const { bytesRead } = await file.read(into, filled, into.length - filled, position + filled);
    if (bytesRead === 0) throw new Error("the snapshot is truncated");
    filled += bytesRead;
  }
  return into;
}

/** Creates a file; undefined where another process has it and has written to it lately. */
async function createAlone(path: string): Promise<FileHandle | undefined> {
  const lastWrite = await stat(path).catch(() => undefined);
  if (lastWrite !== undefined && Date.now() - lastWrite.mtimeMs > leftoverAgeMs)
    await rm(path, { force: true });
  try {
    return await open(path, "wx");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return undefined;
    throw error;
  }
}

/** Writes, makes it last, and closes. */
async function finish<T>(file: FileHandle, write: () => Promise<T>): Promise<T> {
  try {
    const result = await write();
    await file.sync();
    return result;
  } finally {
    await file.close();
  }
}

/** Makes a rename last. */
async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, "r");
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

function describe(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
