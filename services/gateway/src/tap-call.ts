import { formatUuid } from "@chowhound/shared/record/uuid";
import type { Outcome } from "@chowhound/shared/tap/outcomes";
import type { TapSource } from "@chowhound/shared/tap/tap-source";
import type { CallReceipt } from "./call-receipt.ts";
import type { IngestRecord } from "./ingestor.ts";
import { isKnown } from "./known-record.ts";

/** The records of a call that has been answered, to be shown by a tap. */
export function tapCall(
  records: readonly IngestRecord[],
  tenantId: string,
  { records: judged, traceId }: Pick<CallReceipt, "records" | "traceId">,
): TapSource {
  return {
    count: records.length,
    tenantAt: () => tenantId,
    outcomeAt: (index) => outcomeOf(judged[index]!),
    originalAt: (index) => {
      const record = records[index];
      // What came in another form and could not be turned into a record has no bytes.
      return record instanceof Uint8Array ? record : undefined;
    },
    factsAt: (index) => {
      const record = judged[index]!;
      const common = { pipelineVersion: 0n, traceId, changed: undefined };
      return record.kind === "accepted"
        ? { ...common, uuid: formatUuid(record.uuid), reason: "", detail: "" }
        : { ...common, uuid: "", reason: record.reason, detail: record.message };
    },
  };
}

function outcomeOf(record: CallReceipt["records"][number]): Outcome {
  if (record.kind === "rejected") return "rejected";
  // No later stage sees what is known.
  return isKnown(record) ? "duplicate" : "accepted";
}
