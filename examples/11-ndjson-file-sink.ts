/**
 * A sink in one file: the store, landing records as lines of JSON in a file instead of PostgreSQL.
 *
 *   CHOWHOUND_NATS_URL=nats://127.0.0.1:24692 CHOWHOUND_NATS_PREFIX=try CHOWHOUND_DATABASE_URL=postgres://unused \
 *     npx node examples/11-ndjson-file-sink.ts records.ndjson
 *
 * It takes the place of the store: on the prefix of a running mesh, both would share the batches between them. So this
 * one has a prefix of its own, and waits for the other three services on it.
 *
 * One line is one batch: written with one write and flushed to disk before it is acknowledged. Half a line, of a crash or
 * a full disk, is taken away before the next write, and its batch comes again. To stay short, a line has the main fields
 * only. docs/writing-a-sink.md explains what a sink owes.
 */
import { randomUUID } from "node:crypto";
import { type FileHandle, open, stat } from "node:fs/promises";
import type { RecordBatch } from "@chowhound/shared/contracts/chowhound/internal/v1/record_batch";
import { runService } from "@chowhound/shared/service/run-service";
import { settings } from "../services/store/src/config.ts";
import { type DeadRecord, type IncomingRecord, readBatch } from "../services/store/src/incoming-record.ts";
import type {
  BatchOutcome,
  IngestionSink,
  IngestionWriter,
  ReportedBatch,
  WriteResult,
} from "../services/store/src/ingestion-writer.ts";
import { createStore } from "../services/store/src/service.ts";
import { noVerdicts } from "../services/store/src/verdict.ts";

/** The file as it was found: its generation is in the first line, then there is a line per batch. */
interface OpenFile {
  handle: FileHandle;
  inode: bigint;
  generation: string;
  batchIds: Set<string>;
  /** The bytes that are whole lines. */
  length: bigint;
}

/** Every record is `stored`: the file is a log, it has no keys that a newer record could replace. */
export class NdjsonFileSink implements IngestionSink {
  readonly name = "file";
  readonly #path: string;
  #file: OpenFile | undefined;
  /** Writers share the file: one thing at a time. */
  #queue: Promise<unknown> = Promise.resolve();

  constructor(path: string) {
    this.#path = path;
  }

  createWriter(): IngestionWriter {
    return {
      open: () => this.#enqueue(async () => void (await this.#current())),
      write: (batches) => this.#enqueue(() => this.#append(batches)),
      close: async () => {},
    };
  }

  confirm(batches: readonly ReportedBatch[]): Promise<{ generation: string; allBooked: boolean }> {
    return this.#enqueue(async () => {
      const { generation, batchIds: known } = await this.#current();
      const isKnown = (reported: ReportedBatch): boolean =>
        reported.generation === generation && known.has(toHex(reported.batchId));
      return { generation, allBooked: batches.every(isKnown) };
    });
  }

  close(): Promise<void> {
    return this.#enqueue(() => this.#forget());
  }

  #enqueue<T>(action: () => Promise<T>): Promise<T> {
    const result = this.#queue.then(action);
    this.#queue = result.catch(() => {});
    return result;
  }

  async #append(batches: readonly RecordBatch[]): Promise<WriteResult> {
    const file = await this.#current();
    const lines = new Map<string, string>();
    const outcomes = batches.map((batch): BatchOutcome => {
      const id = toHex(batch.batchId);
      if (file.batchIds.has(id) || lines.has(id)) return { kind: "already_booked", batchId: batch.batchId };
      const { records, dead } = readBatch(batch);
      lines.set(
        id,
        JSON.stringify({ batchId: id, records: records.map(toJson), deadLetters: dead.map(deadToJson) }),
      );
      const duplicate = batch.dropped.reduce((sum, { count }) => sum + count, 0);
      return {
        kind: "booked",
        batchId: batch.batchId,
        verdicts: { ...noVerdicts(), stored: records.length, dead_lettered: dead.length, duplicate },
        committedFingerprints: Buffer.concat(records.map(({ fingerprint }) => fingerprint)),
        committedOrdinals:
          records.length === batch.acceptedCount ? [] : records.map(({ ordinal }) => ordinal),
      };
    });
    if (lines.size > 0) {
      const text = Buffer.from(`${[...lines.values()].join("\n")}\n`);
      try {
        await file.handle.appendFile(text);
        await file.handle.datasync();
      } catch (error) {
        // Part of it may be in the file. Opened again, the file is whole lines, and what they hold is read from them.
        await this.#forget();
        throw error;
      }
      file.length += BigInt(text.length);
      for (const id of lines.keys()) file.batchIds.add(id);
    }
    return { generation: file.generation, outcomes };
  }

  /** The file at the path, as it is now: opened anew where it is another one, or shorter or longer than we left it. */
  async #current(): Promise<OpenFile> {
    const found = await stat(this.#path, { bigint: true }).catch(() => undefined);
    if (this.#file !== undefined && found?.ino === this.#file.inode && found.size === this.#file.length)
      return this.#file;
    await this.#forget();
    this.#file = await openWhole(this.#path);
    return this.#file;
  }

  async #forget(): Promise<void> {
    const file = this.#file;
    this.#file = undefined;
    await file?.handle.close();
  }
}

/** Opens the file, makes it where there is none, and cuts off what is no whole line. */
async function openWhole(path: string): Promise<OpenFile> {
  const handle = await open(path, "a+");
  try {
    const text = await handle.readFile("utf8");
    const whole = text.slice(0, text.lastIndexOf("\n") + 1);
    if (whole.length < text.length) await handle.truncate(Buffer.byteLength(whole));
    const [first, ...lines] = whole.split("\n").filter((line) => line !== "");
    const generation: string = first === undefined ? randomUUID() : JSON.parse(first).generation;
    if (first === undefined) {
      await handle.appendFile(`${JSON.stringify({ generation })}\n`);
      await handle.datasync();
    }
    const { ino, size } = await handle.stat({ bigint: true });
    const batchIds = new Set<string>(lines.map((line) => JSON.parse(line).batchId));
    return { handle, inode: ino, generation, batchIds, length: size };
  } catch (error) {
    await handle.close();
    throw error;
  }
}

function toJson(record: IncomingRecord) {
  const { data, metadataJson } = record.landed();
  return {
    tenantId: record.tenantId,
    sourceType: record.source.sourceType,
    sourceId: record.source.sourceId,
    dataId: record.dataId,
    data: data.toString(),
    metadata: JSON.parse(metadataJson),
  };
}

function deadToJson({ reason, detail, original }: DeadRecord) {
  return { reason, detail, original: Buffer.from(original).toString("base64") };
}

function toHex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}

if (import.meta.main) {
  const [path = "records.ndjson"] = process.argv.slice(2);
  await runService({
    name: "store",
    settings,
    create: (config, runtime) => createStore(config, runtime, new NdjsonFileSink(path)),
  });
}
