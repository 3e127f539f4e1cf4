import type { Receipt } from "@chowhound/shared/contracts/chowhound/v1/ingestion_service";
import type { RejectedRecord } from "./validate-record.ts";

/** One call, whatever the protocol that brought it. */
export interface IngestCall {
  /** The authorization header as it came. */
  authorization: string | undefined;
  /** The W3C trace headers as they came. */
  traceparent?: string | undefined;
  tracestate?: string | undefined;
  /** Encoded `IngestionData` each, or why the protocol's form could not be turned into one. */
  records: readonly (Uint8Array | RejectedRecord)[];
  /** For streams: wait so long for room in flight before the call is refused. By default it is refused at once. */
  waitForRoomMs?: number;
  /** For streams: called once the records count as in flight; a stream reads on from here. */
  onTaken?(): void;
}

/** Resolves once every accepted record is acknowledged by RAW. Rejects with CallError, and with nothing else. */
export type Accept = (call: IngestCall) => Promise<Receipt>;

/**
 * A public door: speaks one protocol, turns what arrives into calls, and hands them to `accept`. Whoever wants to
 * take records over a new protocol implements this and gives it to `createGateway`; keys, limits, validation, batching
 * and flow control are behind `accept`.
 */
export interface Ingestor {
  /** For logs. */
  readonly name: string;
  /** Listens. Returns where, such as "127.0.0.1:50051". Rejects where the port is taken. */
  start(accept: Accept): Promise<{ address: string }>;
  /** Takes no new calls, ends streams after what they are owed, closes. Bounded in time. */
  stop(): Promise<void>;
}
