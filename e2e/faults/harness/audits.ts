import { auditMesh, problemsOf } from "@chowhound/local/audit";
import { type AuditReport, AuditVerdict } from "@chowhound/shared/contracts/chowhound/v1/audit_service";
import { type ServiceError, status } from "@grpc/grpc-js";
import type { FaultMesh } from "./fault-mesh.ts";

/** What an audit said; "refused": that it can't be made for now. */
export type AuditAnswer = "closed" | "broken" | "stalled" | "refused";

/**
 * Asks a mesh for an audit, and holds its answer against the receipts: it is never broken here, and closed only where the books have
 * all that had a receipt when it was asked. Throws where the answer is wrong.
 */
export async function auditTruthfully(
  mesh: FaultMesh,
  { through = "store", timeoutSeconds = 60 }: { through?: string; timeoutSeconds?: number } = {},
): Promise<AuditAnswer> {
  const owed = mesh.ledger.accepted;
  let report: AuditReport;
  try {
    report = await auditMesh(mesh.endpoints.admin[through]!, {
      timeout: { seconds: BigInt(timeoutSeconds) },
    });
  } catch (error) {
    if ((error as ServiceError).code === status.UNAVAILABLE) return "refused";
    throw error;
  }
  if (report.verdict === AuditVerdict.STALLED) return "stalled";
  const booked = Number(report.total!.accepted);
  if (report.verdict !== AuditVerdict.CLOSED)
    throw new Error(`an audit finds broken what is not: ${problemsOf(report, booked).join("; ")}`);
  if (booked < owed)
    throw new Error(`an audit closes books of ${booked} records, while ${owed} had a receipt`);
  return "closed";
}

/** Audits one after the other, all the while that something goes on. Resolves with how often each answer was given. */
export async function auditAllAlong(
  mesh: FaultMesh,
  action: () => Promise<void>,
): Promise<Map<AuditAnswer, number>> {
  const answers = new Map<AuditAnswer, number>();
  let isOver = false;
  const auditing = (async () => {
    while (!isOver) {
      const answer = await auditTruthfully(mesh, { timeoutSeconds: 2 });
      answers.set(answer, (answers.get(answer) ?? 0) + 1);
    }
  })();
  auditing.catch(() => {});
  try {
    await action();
  } finally {
    isOver = true;
  }
  await auditing;
  return answers;
}
