import { IngestionService } from "@chowhound/shared/contracts/chowhound/v1/ingestion_service";
import { CallError } from "@chowhound/shared/errors/call-error";
import { toGrpcError } from "@chowhound/shared/rpc/error-details";
import { rpcMethod } from "@chowhound/shared/telemetry/server-span";
import type { ServerDuplexStream } from "@grpc/grpc-js";
import { readBinaryRequest } from "./binary-request.ts";
import { encodeResponse } from "./encode-receipt.ts";
import { callHeaders } from "./grpc-call.ts";
import type { Accept } from "./ingestor.ts";
import type { Received } from "./received.ts";

/** How long a batch waits for room in flight before its stream ends. */
const WAIT_FOR_ROOM_MS = 10_000;
const STOPPED_RETRY_MS = 1_000;
const RPC = rpcMethod("grpc", IngestionService.method.ingestStream);

/**
 * One IngestStream call: takes batches as they come, answers them in their order, reads on only while the window has
 * room. The first failure ends the stream, after the receipts of the batches before it.
 */
export class IngestStream {
  readonly #call: ServerDuplexStream<Received, Uint8Array>;
  readonly #accept: Accept;
  readonly #window: number;
  /** Settles when every batch so far has been answered; rejects with the first failure. */
  #answered: Promise<void> = Promise.resolve();
  #unanswered = 0;
  #isOver = false;
  #wake: () => void = () => {};

  constructor(call: ServerDuplexStream<Received, Uint8Array>, accept: Accept, window: number) {
    this.#call = call;
    this.#accept = accept;
    this.#window = window;
    call.once("close", () => this.#end());
  }

  /** Resolves when the stream is over, however it ended. What was accepted stays accepted. */
  async serve(): Promise<void> {
    try {
      for await (const request of this.#call.iterator({ destroyOnReturn: false })) {
        await this.#take(request);
        while (this.#unanswered >= this.#window && !this.#isOver) await this.#change();
        if (this.#isOver) return;
      }
      await this.#answered;
      this.#end();
      this.#call.end();
    } catch (error) {
      this.#fail(error);
    }
  }

  /** Ends the stream once what was read has been answered. */
  stop(): void {
    const stopped = new CallError("shutting_down", "the gateway is shutting down; connect again", {
      retryDelayMs: STOPPED_RETRY_MS,
    });
    this.#answered.then(
      () => this.#fail(stopped),
      () => {},
    );
  }

  /** Starts one batch; returns once it counts as in flight, or was refused. */
  async #take(request: Received): Promise<void> {
    const { promise: isTaken, resolve: onTaken } = Promise.withResolvers<void>();
    const response = this.#ingest(request, onTaken);
    this.#unanswered++;
    this.#answered = this.#answered.then(async () => this.#answer(await response));
    this.#answered.catch((error: unknown) => this.#fail(error));
    await Promise.race([isTaken, response.catch(() => {})]);
  }

  async #ingest(request: Received, onTaken: () => void): Promise<Uint8Array> {
    let batchNumber = 0n;
    const receipt = await this.#accept({
      ...callHeaders(this.#call.metadata),
      rpc: RPC,
      records: () => {
        const split = readBinaryRequest(request.take());
        batchNumber = split.batchNumber;
        return split.records;
      },
      waitForRoomMs: WAIT_FOR_ROOM_MS,
      onTaken,
    });
    return encodeResponse(receipt, batchNumber);
  }

  async #answer(response: Uint8Array): Promise<void> {
    if (this.#isOver) return;
    // A client that doesn't read its receipts isn't read from either. As grpc-guard.ts has a stream buffer no more than one message,
    // a receipt is out before what comes next, such as the status of a failure.
    if (!this.#call.write(response)) await this.#drained();
    this.#unanswered--;
    this.#wake();
  }

  /** Ends the call with the error's status, behind the receipts already written. Does nothing when it is over. */
  #fail(error: unknown): void {
    if (this.#isOver) return;
    this.#end();
    this.#call.emit("error", toGrpcError(error));
  }

  #end(): void {
    this.#isOver = true;
    this.#wake();
  }

  async #drained(): Promise<void> {
    this.#call.once("drain", () => this.#wake());
    while (this.#call.writableNeedDrain && !this.#isOver) await this.#change();
  }

  /** Resolves at the next answer, or when the stream is over. */
  #change(): Promise<void> {
    return new Promise((resolve) => {
      const previous = this.#wake;
      this.#wake = () => {
        this.#wake = () => {};
        previous();
        resolve();
      };
    });
  }
}
