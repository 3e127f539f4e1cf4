import { setTimeout as sleep } from "node:timers/promises";
import { auditMesh, problemsOf } from "@chowhound/local/audit";
import { createGrpcClient } from "@chowhound/local/grpc-client";
import {
  AuditFindingKind,
  type AuditReport,
  AuditService,
  AuditVerdict,
} from "@chowhound/shared/contracts/chowhound/v1/audit_service";
import type { FaultMesh } from "./fault-mesh.ts";
import { waitUntil } from "./patience.ts";

/** Numbers of RAW, first and last. */
export interface MissingNumbers {
  first: bigint;
  last: bigint;
}

/** On a busy machine with full streams the barrier alone takes a minute. */
const REQUEST = { timeout: { seconds: 180n, nanos: 0 }, maxFindings: 1_000 };
const RETRY_MS = 500;
/** Others' work goes on meanwhile, and is no progress of this. */
const MAX_AUDIT_MS = 400_000;

/** Audits until an audit comes to its end: not stalled, and not broken off by whatever else ails the mesh. */
export async function auditToItsEnd({ endpoints, ledger }: FaultMesh): Promise<AuditReport> {
  let report: AuditReport | undefined;
  await waitUntil("an audit comes to its end", {
    async isDone() {
      report = await auditMesh(endpoints.admin.store!, REQUEST).catch(() => undefined);
      return report !== undefined && report.verdict !== AuditVerdict.STALLED;
    },
    progress: async () => ledger.calls,
    pollMs: RETRY_MS,
    maxMs: MAX_AUDIT_MS,
  });
  return report!;
}

/**
 * What the audit names after the database was set back: the batches that it no longer has, and nothing else. Written off, they
 * are no longer held against it. Throws where it misses nothing, or names anything else.
 */
export async function writeOffMissing(mesh: FaultMesh): Promise<MissingNumbers[]> {
  const all: MissingNumbers[] = [];
  for (;;) {
    const report = await auditToItsEnd(mesh);
    const { findings } = report;
    if (findings.length === 0) {
      if (all.length === 0) throw new Error("the audit misses nothing of a database that was set back");
      return all;
    }
    if (findings.some(({ kind }) => kind !== AuditFindingKind.NUMBER_MISSING))
      throw new Error(`an audit of a database that was set back: ${problemsOf(report, 0).join("; ")}`);
    const { calls, close } = createGrpcClient(AuditService, mesh.endpoints.admin.store!);
    try {
      for (const { epoch, firstNumber, lastNumber } of findings) {
        const by = { note: "lost with the database, sent again", writtenOffBy: "the test" };
        await calls.writeOff({ epoch, firstNumber, lastNumber, ...by });
        all.push({ first: firstNumber, last: lastNumber });
      }
      if (BigInt(findings.length) === report.findingCount) return all;
    } catch {
      // The store may be away just now: the next audit tells what is left.
      await sleep(RETRY_MS);
    } finally {
      close();
    }
  }
}
