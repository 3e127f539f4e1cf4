import type { RejectedRecord } from "@chowhound/shared/record/validate-record";
import type { RpcMethod } from "@chowhound/shared/telemetry/server-span";
import type { CallReceipt } from "./call-receipt.ts";

/** An encoded `IngestionData`, or why the protocol's form could not be turned into one. */
export type IngestRecord = Uint8Array | RejectedRecord;

/** What every call says before its message, whatever the protocol that brought it. */
export interface CallHead {
  /** The authorization header as it came. */
  authorization: string | undefined;
  /** The W3C trace headers as they came. */
  traceparent?: string | undefined;
  tracestate?: string | undefined;
  /** Names the call's span where the call is traced. */
  rpc?: RpcMethod;
}

/** One call that brings records. */
export interface IngestCall extends CallHead {
  /**
   * Reads the records. Called once it is known who calls and that calls are taken: so nobody can have work done without a
   * key. May reject with CallError malformed_request or call_too_large.
   */
  records(): readonly IngestRecord[] | Promise<readonly IngestRecord[]>;
  /** How large the message may be, for a door that has yet to read it: memory is taken for so much until it is read. */
  arrivingBytes?: number;
  /** For streams: wait so long for room in flight before the call is refused. By default it is refused at once. */
  waitForRoomMs?: number;
  /** For streams: called once the records count as in flight; a stream reads on from here. */
  onTaken?(): void;
}

/** Resolves once every accepted record is acknowledged by RAW. Rejects with CallError, and with nothing else. */
export type Accept = (call: IngestCall) => Promise<CallReceipt>;

/**
 * Throws CallError "unauthenticated" where the authorization header proves nothing. `accept` asks too: this is for a door
 * that would otherwise hold a message in memory before it can call `accept`.
 */
export type Admit = (authorization: string | undefined) => void;

/**
 * A public door: speaks one protocol, turns what arrives into calls, and hands them to `accept`. Whoever wants to
 * take records over a new protocol implements this and gives it to `createGateway`; keys, limits, validation, batching
 * and flow control are behind `accept`.
 */
export interface Ingestor {
  /** For logs. */
  readonly name: string;
  /** Listens. Returns where, such as "127.0.0.1:50051". Rejects where the port is taken. */
  start(accept: Accept, admit: Admit): Promise<{ address: string }>;
  /** Takes no new calls, ends streams after what they are owed, closes. Bounded in time. */
  stop(): Promise<void>;
}
