import type { CommittedBatch } from "@chowhound/shared/contracts/chowhound/internal/v1/commit_notice";
import type { PipelinesState } from "@chowhound/shared/contracts/chowhound/internal/v1/record_batch";
import { batchToRemember, decodeNotice } from "@chowhound/shared/evidence/commit-notices";
import {
  type Confirmation,
  type ConfirmOutcome,
  createConfirmation,
} from "@chowhound/shared/evidence/confirm-generation";
import { createDropLicense } from "@chowhound/shared/evidence/drop-license";
import { createFingerprintIndex } from "@chowhound/shared/evidence/fingerprint-index";
import { HASH_BYTES, originalFingerprint, tenantHash } from "@chowhound/shared/record/content-hash";
import type { IngestRecord } from "./ingestor.ts";
import { isEarlierState, isSameState } from "./pipelines-state.ts";
import { SentBatches } from "./sent-batches.ts";

export interface RecallOptions {
  /** How many records are remembered. */
  capacity: number;
  /** Puts a ConfirmRequest to the store; rejects where no answer comes in time. */
  confirm(question: Uint8Array): Promise<Uint8Array>;
  /** Asks which state the pipelines are in now; rejects where nobody knows. */
  pipelinesState(): Promise<PipelinesState>;
  onOutcome?(outcome: RecallOutcome): void;
  /** Where nobody has answered, nobody is asked for so long: it would hold up every call that is sent again. */
  unansweredPauseMs?: number;
  /** From one question to the next: the more calls share it, the larger the batch that they leave in. */
  askIntervalMs?: number;
}

/** How a question ended; `other-pipelines`: what is remembered was processed by others than are in force. */
export type RecallOutcome = ConfirmOutcome | "other-pipelines";

/** What is known of the records of a call. */
export interface RecalledCall {
  /** 16 bytes a record. */
  readonly fingerprints: Buffer;
  /** 1 for each record that has landed, byte for byte the same; undefined where none has. */
  readonly known: Uint8Array | undefined;
}

/** How many records may be on their way and still be remembered when they have landed. */
const MAX_SENT_RECORDS = 250_000;
const UNANSWERED_PAUSE_MS = 1_000;
const ASK_INTERVAL_MS = 20;

/**
 * Remembers which records this gateway has sent and the store has landed, by the hash of their very bytes, so that what is sent again
 * goes no further than the door: there it costs a hash instead of its way through the mesh.
 *
 * A record is known only while three things are true: the store has reported that it was written (not that dedup has dropped it); the
 * database still is the one that reported it; and the pipelines are the ones that processed it. The last two are asked for after the
 * record has arrived. In doubt it is new, and dedup and the store decide.
 */
export class Recall {
  readonly #index;
  readonly #license = createDropLicense();
  readonly #sent = new SentBatches(MAX_SENT_RECORDS);
  readonly #confirmation: Confirmation;
  /** What processed the records in the index. */
  #processedBy: PipelinesState | undefined;
  /** Counts how often the index was begun anew. */
  #history = 0;
  /** What was in force when the last question was answered. */
  #inForce: PipelinesState | undefined;
  #lastTenant = { id: "", hash: tenantHash("") };
  readonly #unansweredPauseMs: number;
  #askAgainMs = Number.NEGATIVE_INFINITY;

  constructor({
    capacity,
    confirm,
    pipelinesState,
    onOutcome,
    unansweredPauseMs = UNANSWERED_PAUSE_MS,
    askIntervalMs = ASK_INTERVAL_MS,
  }: RecallOptions) {
    this.#unansweredPauseMs = unansweredPauseMs;
    this.#index = createFingerprintIndex({ capacity });
    this.#confirmation = createConfirmation({
      index: this.#index,
      license: this.#license,
      intervalMs: askIntervalMs,
      request: async (question) => {
        const [answer, state] = await Promise.all([confirm(question), pipelinesState()]);
        this.#inForce = state;
        return answer;
      },
      onOutcome: (outcome) => {
        if (outcome === "void") this.#history++;
        if (outcome === "no-answer") this.#askAgainMs = performance.now() + this.#unansweredPauseMs;
        const isOther = outcome === "confirmed" && !isSameState(this.#processedBy, this.#inForce);
        onOutcome?.(isOther ? "other-pipelines" : outcome);
      },
    });
  }

  get size(): number {
    return this.#index.size;
  }

  /** Looks the records of a call up. Resolves, or returns at once, with what may be relied on from now on. */
  look(tenantId: string, records: readonly IngestRecord[]): RecalledCall | Promise<RecalledCall> {
    const ofTenant = this.#hashOf(tenantId);
    const fingerprints = Buffer.allocUnsafe(records.length * HASH_BYTES);
    let known: Uint8Array | undefined;
    for (let index = 0; index < records.length; index++) {
      const record = records[index]!;
      if (!(record instanceof Uint8Array)) continue;
      originalFingerprint(ofTenant, record, fingerprints, index * HASH_BYTES);
      if (this.#index.has(fingerprints, index * HASH_BYTES)) {
        known ??= new Uint8Array(records.length);
        known[index] = 1;
      }
    }
    const none = { fingerprints, known: undefined };
    if (known === undefined || performance.now() < this.#askAgainMs) return none;
    const history = this.#history;
    return new Promise((resolve) => {
      this.#confirmation.ask((isConfirmed) => {
        // The answer speaks of what the index holds now: all of it, or it has been begun anew meanwhile.
        const isCovered = history === this.#history && isSameState(this.#processedBy, this.#inForce);
        resolve(isConfirmed && isCovered ? { fingerprints, known } : none);
      });
    });
  }

  /** The calls that come one after the other are mostly of one tenant. */
  #hashOf(tenantId: string): Buffer {
    if (this.#lastTenant.id !== tenantId) this.#lastTenant = { id: tenantId, hash: tenantHash(tenantId) };
    return this.#lastTenant.hash;
  }

  /** A batch goes out. @param fingerprints 16 bytes a record, in the order of their places */
  sent(batchId: Uint8Array, fingerprints: Buffer): void {
    this.#sent.add(batchId, fingerprints);
  }

  /** A commit notice has come in. */
  hear(message: Uint8Array): void {
    const notice = decodeNotice(message);
    const id = notice && batchToRemember(notice);
    if (id === undefined) return;
    if (this.#license.onCommitNotice(notice!.generation, id) === "revalidate") {
      this.#confirmation.ask(() => {});
      return;
    }
    for (const batch of notice!.batches) {
      const fingerprints = this.#sent.take(batch.batchId);
      if (fingerprints !== undefined) this.#remember(batch, fingerprints);
    }
  }

  #remember(
    { fingerprints: committed, ordinals, pipelinesState }: CommittedBatch,
    fingerprints: Buffer,
  ): void {
    if (pipelinesState === undefined) return;
    const places = fingerprints.length / HASH_BYTES;
    if (ordinals.length === 0 && committed.length !== fingerprints.length) return;
    if (ordinals.some((ordinal) => ordinal >= places)) return;
    if (!isSameState(pipelinesState, this.#processedBy)) {
      if (this.#processedBy !== undefined && isEarlierState(pipelinesState, this.#processedBy)) return;
      this.#index.clear();
      this.#history++;
      this.#processedBy = pipelinesState;
    }
    if (ordinals.length > 0) {
      for (const ordinal of ordinals) this.#index.add(fingerprints, ordinal * HASH_BYTES);
    } else {
      for (let at = 0; at < fingerprints.length; at += HASH_BYTES) this.#index.add(fingerprints, at);
    }
  }
}
