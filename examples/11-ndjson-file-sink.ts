/**
 * A sink in one file: the store, landing records as lines of JSON in a file instead of PostgreSQL.
 *
 *   CHOWHOUND_DATABASE_URL=postgres://unused CHOWHOUND_NATS_URL=nats://127.0.0.1:4222 \
 *     node examples/11-ndjson-file-sink.ts records.ndjson
 *
 * One line is one batch: written with one write and flushed to disk before it is acknowledged. A line that a crash cut
 * off is taken away at the next start, and its batch comes again. docs/writing-a-sink.md explains what a sink owes.
 */
import { randomUUID } from "node:crypto";
import { type FileHandle, open, readFile, truncate } from "node:fs/promises";
import type { RecordBatch } from "@chowhound/shared/contracts/chowhound/internal/v1/record_batch";
import { runService } from "@chowhound/shared/service/run-service";
import { settings } from "../services/store/src/config.ts";
import { readBatch } from "../services/store/src/incoming-record.ts";
import type {
  BatchOutcome,
  IngestionSink,
  IngestionWriter,
  WriteResult,
} from "../services/store/src/ingestion-writer.ts";
import { createStore } from "../services/store/src/service.ts";
import { noVerdicts } from "../services/store/src/verdict.ts";

/** What the file has: its generation in the first line, then a line per batch. */
interface FileContents {
  generation: string;
  batchIds: Set<string>;
}

/** Every record is `stored`: the file is a log, it has no keys that a newer record could replace. */
export class NdjsonFileSink implements IngestionSink {
  readonly name = "file";
  readonly #path: string;
  #contents: Promise<FileContents> | undefined;
  #file: FileHandle | undefined;
  /** Writers share the file: one write at a time. */
  #lastWrite: Promise<unknown> = Promise.resolve();

  constructor(path: string) {
    this.#path = path;
  }

  createWriter(): IngestionWriter {
    return {
      open: async () => void (await this.#opened()),
      write: (batches) => {
        const write = this.#lastWrite.catch(() => {}).then(() => this.#append(batches));
        this.#lastWrite = write;
        return write;
      },
      close: async () => {},
    };
  }

  async confirm(batchIds: readonly Uint8Array[]): Promise<{ generation: string; allBooked: boolean }> {
    const { generation, batchIds: known } = await this.#opened();
    return { generation, allBooked: batchIds.every((id) => known.has(toHex(id))) };
  }

  async close(): Promise<void> {
    await this.#lastWrite.catch(() => {});
    await this.#file?.close();
  }

  async #append(batches: readonly RecordBatch[]): Promise<WriteResult> {
    const { generation, batchIds } = await this.#opened();
    const lines: string[] = [];
    const newIds: string[] = [];
    const outcomes = batches.map((batch): BatchOutcome => {
      const id = toHex(batch.batchId);
      if (batchIds.has(id) || newIds.includes(id)) return { kind: "already_booked", batchId: batch.batchId };
      const { records, dead } = readBatch(batch);
      newIds.push(id);
      lines.push(
        JSON.stringify({
          batchId: id,
          records: records.map((record) => ({
            tenantId: record.tenantId,
            sourceType: record.sourceType.toString(),
            sourceId: record.sourceId.toString(),
            dataId: record.dataId.toString(),
            data: record.data.toString(),
            metadata: JSON.parse(record.metadataJson),
          })),
          deadLetters: dead.map(({ reason, detail, original }) => ({
            reason,
            detail,
            original: Buffer.from(original).toString("base64"),
          })),
        }),
      );
      const duplicate = batch.dropped.reduce((sum, { count }) => sum + count, 0);
      return {
        kind: "booked",
        batchId: batch.batchId,
        verdicts: { ...noVerdicts(), stored: records.length, dead_lettered: dead.length, duplicate },
        committedFingerprints: Buffer.concat(records.map(({ fingerprint }) => fingerprint)),
      };
    });
    if (lines.length > 0) {
      await this.#file!.appendFile(`${lines.join("\n")}\n`);
      await this.#file!.datasync();
      for (const id of newIds) batchIds.add(id);
    }
    return { generation, outcomes };
  }

  #opened(): Promise<FileContents> {
    this.#contents ??= this.#open().catch((error: unknown) => {
      this.#contents = undefined;
      throw error;
    });
    return this.#contents;
  }

  async #open(): Promise<FileContents> {
    this.#file = await open(this.#path, "a");
    const text = await readFile(this.#path, "utf8");
    const whole = text.slice(0, text.lastIndexOf("\n") + 1);
    if (whole.length < text.length) await truncate(this.#path, Buffer.byteLength(whole));
    const [first, ...lines] = whole.split("\n").filter((line) => line !== "");
    const generation: string = first === undefined ? randomUUID() : JSON.parse(first).generation;
    if (first === undefined) await this.#file.appendFile(`${JSON.stringify({ generation })}\n`);
    return { generation, batchIds: new Set(lines.map((line) => JSON.parse(line).batchId)) };
  }
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
