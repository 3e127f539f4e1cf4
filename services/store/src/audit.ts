import { CallError } from "@chowhound/shared/errors/call-error";
import { pause } from "@chowhound/shared/runtime/backoff";
import type { NatsNames } from "@chowhound/shared/stream/topology";
import type { NatsConnection } from "@nats-io/transport-node";
import { type Draining, drainMesh, readRawNumbers, type Stall } from "./audit-barrier.ts";
import type { Examination, Ledger, NumberRange, RawNumbers, WriteOff } from "./ledger.ts";

export interface AuditDependencies {
  ledger: Ledger;
  /** Undefined while the store is not connected yet. */
  nc(): NatsConnection | undefined;
  names: NatsNames;
  /** Aborted when the process ends. */
  signal: AbortSignal;
}

export interface AuditOptions {
  /** How long to wait for what is under way. */
  timeoutMs: number;
  tenantId: string | undefined;
  maxFindings: number;
  /** Aborted when nobody waits for it any more. */
  signal: AbortSignal;
}

/** A step of an audit; the last one is a stall or a report. */
export type AuditStep =
  | { kind: "draining"; draining: Draining }
  | { kind: "counting"; what: string }
  | { kind: "stalled"; mark: RawNumbers | undefined; stall: Stall }
  | { kind: "report"; mark: RawNumbers; examination: Examination };

/** How long a write-off waits for what is under way: what is missing must be told from what is late. */
const WRITE_OFF_TIMEOUT_MS = 10_000;
/** Once the barrier is passed, RAW is there again within a moment, or not for long. */
const RAW_LOOKS = 10;
const RAW_LOOK_MS = 500;

/** Audits the books of a mesh, and accepts what is found. */
export function createAuditor({ ledger, nc, names, signal }: AuditDependencies) {
  const connection = (): NatsConnection => {
    const open = nc();
    if (open !== undefined) return open;
    throw new CallError("not_ready", "the store is not connected to NATS yet; try again in a moment");
  };
  /** What RAW has given out, for certain. Rejects with CallError not_ready where that can't be found out. */
  const readRaw = async (open: NatsConnection): Promise<RawNumbers> => {
    for (let attempt = 1; ; attempt++) {
      const why = await readRawNumbers(open, names).then(
        (raw) => (raw.isCertain ? raw : "not all of its copies are there and up to date"),
        (error: Error) => error.message,
      );
      if (typeof why !== "string") return why;
      if (attempt === RAW_LOOKS || !(await pause(RAW_LOOK_MS, signal)))
        throw new CallError("not_ready", `RAW can't be looked at: ${why}; try again in a moment`);
    }
  };

  return {
    async *audit(options: AuditOptions): AsyncGenerator<AuditStep> {
      const open = connection();
      const until = AbortSignal.any([signal, options.signal]);
      const barrier = drainMesh({ nc: open, names, timeoutMs: options.timeoutMs, signal: until });
      const drained = yield* steps(barrier, (draining) => ({ kind: "draining" as const, draining }));
      const { mark } = drained;
      if (drained.stall !== undefined) {
        yield { kind: "stalled", mark, stall: drained.stall };
        return;
      }
      const examining = ledger.examine({
        mark: drained.mark,
        readRaw: () => readRaw(open),
        tenantId: options.tenantId,
        maxFindings: options.maxFindings,
        signal: until,
      });
      const examination = yield* steps(examining, (what) => ({ kind: "counting" as const, what }));
      yield { kind: "report", mark: drained.mark, examination };
    },

    async writeOff(numbers: NumberRange, by: Pick<WriteOff, "note" | "writtenOffBy">): Promise<WriteOff> {
      const open = connection();
      const barrier = drainMesh({ nc: open, names, timeoutMs: WRITE_OFF_TIMEOUT_MS, signal });
      let step = await barrier.next();
      while (!step.done) step = await barrier.next();
      const { mark, stall } = step.value;
      if (stall !== undefined)
        throw new CallError(
          "write_off_refused",
          `batches are still under way, so nobody can say what is missing: ${stall.why}`,
        );
      // RAW may have been rewound since, so what it has given out is asked for again.
      const raw = await readRaw(open);
      return await ledger.writeOff(
        numbers,
        raw.epoch === mark.epoch && raw.last > mark.last ? mark : raw,
        by,
      );
    },
  };
}

export type Auditor = ReturnType<typeof createAuditor>;

/** Passes on what a generator yields, changed, and returns what it returns. */
async function* steps<T, U, R>(from: AsyncGenerator<T, R>, change: (step: T) => U): AsyncGenerator<U, R> {
  try {
    for (;;) {
      const step = await from.next();
      if (step.done) return step.value;
      yield change(step.value);
    }
  } finally {
    // Where nobody asks for more, it closes what it has opened.
    await from.return(undefined as never);
  }
}
