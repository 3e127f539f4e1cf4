import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  type AuditReport,
  AuditRequestSchema,
  type AuditResponse,
  AuditService,
  AuditVerdict,
} from "@chowhound/shared/contracts/chowhound/v1/audit_service";
import { createGrpcClient } from "./grpc-client.ts";

/**
 * The mesh's own audit, as `chow audit` shows it.
 *
 * @param storeAdmin the store's admin port, such as "127.0.0.1:24697"
 */
export async function auditMesh(
  storeAdmin: string,
  request: MessageInitShape<typeof AuditRequestSchema> = {},
): Promise<AuditReport> {
  const { raw, metadata, close } = createGrpcClient(AuditService, storeAdmin);
  try {
    const stream = raw.audit!(create(AuditRequestSchema, request), metadata) as AsyncIterable<AuditResponse>;
    for await (const { step } of stream) if (step.case === "report") return step.value;
    throw new Error("the audit ended without a report");
  } finally {
    close();
  }
}

/**
 * What an audit says is wrong, each as a line; also where the gateways have accepted other than so many records.
 *
 * @param accepted records that producers have receipts for
 */
export function problemsOf(report: AuditReport, accepted: number): string[] {
  if (report.verdict === AuditVerdict.STALLED) return [`stalled: ${report.stall?.why}`];
  const problems = report.findings.map(describeFinding);
  const booked = Number(report.total?.accepted);
  if (booked !== accepted) problems.push(`records accepted at the door: ${booked}, expected ${accepted}`);
  return problems;
}

/** Audits a mesh, see `problemsOf`. */
export async function auditBooks(storeAdmin: string, accepted: number): Promise<string[]> {
  return problemsOf(await auditMesh(storeAdmin), accepted);
}

function describeFinding({
  reason,
  firstNumber,
  lastNumber,
  ...finding
}: AuditReport["findings"][number]): string {
  const { tenantId, sourceType, sourceId, counter, expected, found } = finding;
  const numbers = firstNumber === 0n ? [] : [`${firstNumber}-${lastNumber}`];
  const where = [...numbers, tenantId, sourceType, sourceId].filter((text) => text !== "").join(" ");
  return `${reason} ${where}: ${counter} ${found}, expected ${expected}`;
}
