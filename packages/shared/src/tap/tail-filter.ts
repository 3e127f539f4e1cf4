import type { TailRequest } from "@chowhound/shared/contracts/chowhound/v1/tap_service";
import { CallError, type FieldViolation } from "../errors/call-error.ts";
import { OUTCOMES } from "./outcomes.ts";

/** What a tap may be asked for. */
export const TAIL_LIMITS = {
  recordsPerSecond: 1_000,
  /** Where the request names none. */
  defaultRecordsPerSecond: 100,
  /** Of data, and of metadata. */
  contentBytes: 4_096,
} as const;

/** A request for a tap, checked, with its defaults filled in. */
export interface TailFilter {
  /** Empty for all, as the next three. */
  readonly tenantId: string;
  /** UTF-8, to be compared with a record's bytes. */
  readonly sourceType: Buffer;
  readonly sourceId: Buffer;
  readonly outcomes: ReadonlySet<string>;
  /** Above 0, up to 1. */
  readonly sampleRatio: number;
  readonly maxRecordsPerSecond: number;
  /** 0: no contents. */
  readonly maxContentBytes: number;
}

/** Throws CallError invalid_tail with every field at fault. */
export function readTailRequest(request: TailRequest): TailFilter {
  const { sampleRatio, maxRecordsPerSecond, maxContentBytes } = request;
  const violations: FieldViolation[] = [];
  const check = (isValid: boolean, field: string, description: string): void => {
    if (!isValid) violations.push({ field, description });
  };
  check(sampleRatio >= 0 && sampleRatio <= 1, "sample_ratio", "sample_ratio must be above 0 and at most 1");
  const { recordsPerSecond, defaultRecordsPerSecond, contentBytes } = TAIL_LIMITS;
  check(
    maxRecordsPerSecond <= recordsPerSecond,
    "max_records_per_second",
    `max_records_per_second must be at most ${recordsPerSecond}`,
  );
  check(
    maxContentBytes <= contentBytes,
    "max_content_bytes",
    `max_content_bytes must be at most ${contentBytes}`,
  );
  const known: ReadonlySet<string> = new Set(OUTCOMES);
  check(
    request.outcomes.every((outcome) => known.has(outcome)),
    "outcomes",
    `outcomes are ${OUTCOMES.join(", ")}`,
  );
  if (violations.length > 0)
    throw new CallError("invalid_tail", violations.map(({ description }) => description).join("; "), {
      violations,
    });
  return {
    tenantId: request.tenantId,
    sourceType: Buffer.from(request.sourceType),
    sourceId: Buffer.from(request.sourceId),
    outcomes: new Set(request.outcomes),
    sampleRatio: sampleRatio === 0 ? 1 : sampleRatio,
    maxRecordsPerSecond: maxRecordsPerSecond === 0 ? defaultRecordsPerSecond : maxRecordsPerSecond,
    maxContentBytes,
  };
}
