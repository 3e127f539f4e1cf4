import assert from "node:assert/strict";
import { auditMesh } from "@chowhound/local/audit";
import { createGrpcClient } from "@chowhound/local/grpc-client";
import { AuditFindingKind, AuditService } from "@chowhound/shared/contracts/chowhound/v1/audit_service";
import type { FaultMesh } from "./fault-mesh.ts";

/** The audit names the batches that the database no longer has; written off, they are no longer held against it. */
export async function writeOffMissing({ endpoints }: FaultMesh): Promise<void> {
  const { findings } = await auditMesh(endpoints.admin.store!);
  const missing = findings.filter(({ kind }) => kind === AuditFindingKind.NUMBER_MISSING);
  assert.ok(missing.length > 0, "the audit misses nothing");
  const { calls, close } = createGrpcClient(AuditService, endpoints.admin.store!);
  for (const { epoch, firstNumber, lastNumber } of missing) {
    const by = { note: "lost with the database, sent again", writtenOffBy: "the test" };
    await calls.writeOff({ epoch, firstNumber, lastNumber, ...by });
  }
  close();
}
