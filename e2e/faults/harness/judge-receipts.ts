import { RecordState } from "@chowhound/shared/contracts/chowhound/v1/query_service";
import type { FaultMesh } from "./fault-mesh.ts";

/**
 * Asks the mesh at rest what became of the records of some receipts, as their producer can: each must have become one thing.
 * Where invoices were folded since, it says that it can't know all.
 */
export async function judgeReceipts({ ledger, producers }: FaultMesh): Promise<string[]> {
  const problems: string[] = [];
  for (const { tenant, receiptId, accepted } of ledger.receipts) {
    const producer = producers.find((each) => each.tenant === tenant)!;
    const { counts, gaps } = await producer.locate(receiptId);
    const found = counts.reduce((sum, { count }) => sum + count, 0);
    const inFlight = counts.find(({ state }) => state === RecordState.IN_FLIGHT)?.count ?? 0;
    if (inFlight > 0) problems.push(`${tenant}, receipt ${receiptId}: ${inFlight} records are in flight`);
    if (found > accepted || (found < accepted && gaps.length === 0))
      problems.push(`${tenant}, receipt ${receiptId}: ${found} records are found of ${accepted}`);
  }
  return problems;
}
