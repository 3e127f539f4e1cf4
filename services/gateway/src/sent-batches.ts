import { HASH_BYTES } from "@chowhound/shared/record/content-hash";

/** What the batches on their way were made of, in bounded memory: the oldest is forgotten first. */
export class SentBatches {
  readonly #maxBytes: number;
  readonly #fingerprints = new Map<string, Buffer>();
  #bytes = 0;

  /** @param maxRecords of all batches together */
  constructor(maxRecords: number) {
    this.#maxBytes = maxRecords * HASH_BYTES;
  }

  /** @param fingerprints 16 bytes a record, in the order of their places */
  add(batchId: Uint8Array, fingerprints: Buffer): void {
    this.#fingerprints.set(hex(batchId), fingerprints);
    this.#bytes += fingerprints.length;
    for (const oldest of this.#fingerprints.keys()) {
      if (this.#bytes <= this.#maxBytes) break;
      this.#forget(oldest);
    }
  }

  /** Returns the fingerprints of a batch, once; undefined where it isn't known. */
  take(batchId: Uint8Array): Buffer | undefined {
    return this.#forget(hex(batchId));
  }

  #forget(id: string): Buffer | undefined {
    const fingerprints = this.#fingerprints.get(id);
    this.#fingerprints.delete(id);
    this.#bytes -= fingerprints?.length ?? 0;
    return fingerprints;
  }
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}
