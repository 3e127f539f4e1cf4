import { copyFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { auditMesh, problemsOf } from "@chowhound/local/audit";
import { createGrpcClient } from "@chowhound/local/grpc-client";
import { AdminService } from "@chowhound/shared/contracts/chowhound/v1/admin_service";
import { AuditService } from "@chowhound/shared/contracts/chowhound/v1/audit_service";
import { ALL, deadLettersAt } from "../dead-letter-calls.ts";
import type { FaultMesh } from "../faults/harness/fault-mesh.ts";
import type { Random } from "../faults/harness/random.ts";
import { type FaultKind, lasting, type Stage } from "./fault-kind.ts";

/** Things that operators do, at the wrong moment. That the process they ask is away is no finding. */

export async function drainAndStart({ mesh, faults, note }: Stage, process: string): Promise<void> {
  const { calls, close } = createGrpcClient(AdminService, mesh.endpoints.admin[process]!);
  try {
    await calls.drain({});
    note(`drain ${process}`);
    await mesh.process(process).exited();
  } finally {
    close();
  }
  await faults.start(process);
}

function snapshotOf(mesh: FaultMesh, process: string): string {
  return join(mesh.dataDir, process, "chowhound.fingerprints");
}

const pickDedup = (random: Random): string => random.pick(["dedup", "dedup-2"]);

export const loseIndex: FaultKind = (kind, random) => {
  const process = pickDedup(random);
  return {
    kind,
    what: `${kind} of ${process}`,
    uses: [process],
    async play({ mesh, faults }) {
      await faults.kill(process);
      await rm(snapshotOf(mesh, process), { force: true });
      await faults.start(process);
    },
  };
};

export const oldIndex: FaultKind = (kind, random) => {
  const process = pickDedup(random);
  const laterMs = lasting(random);
  return {
    kind,
    what: `${kind} of ${process}, ${laterMs} ms old`,
    uses: [process],
    async play({ mesh, faults }) {
      const snapshot = snapshotOf(mesh, process);
      // Only an orderly end saves it.
      await faults.restart(process);
      await copyFile(snapshot, `${snapshot}.old`);
      await sleep(laterMs);
      await faults.restart(process);
      await faults.kill(process);
      await copyFile(`${snapshot}.old`, snapshot);
      await faults.start(process);
    },
  };
};

export const changePipeline: FaultKind = (kind, random) => {
  const tag = `tag-${random.below(2 ** 31)}`;
  return {
    kind,
    what: `${kind} to ${tag}`,
    uses: ["pipeline"],
    play: ({ pipelines }) => pipelines.apply(tag),
  };
};

/** Good records become dead letters; those are replayed before the judge comes. */
export const badPipeline: FaultKind = (kind, random) => {
  const lastsMs = lasting(random);
  const tag = `tag-${random.below(2 ** 31)}`;
  return {
    kind,
    what: `${kind} for ${lastsMs} ms`,
    uses: ["pipeline"],
    async play({ pipelines }) {
      await pipelines.applyDemanding();
      await sleep(lastsMs);
      await pipelines.apply(tag);
    },
  };
};

const pickStore = (random: Random): string => random.pick(["store", "store-2"]);

export const replay: FaultKind = (kind, random) => {
  const store = pickStore(random);
  return {
    kind,
    what: `${kind} all by ${store}`,
    uses: ["letters"],
    async play({ mesh, note }) {
      const letters = deadLettersAt(mesh.endpoints.admin[store]!);
      try {
        const steps = await letters.replay(ALL);
        note(`replayed ${steps.at(-1)?.published ?? 0} letters`);
      } catch (error) {
        note(`the replay broke off: ${(error as Error).message}`);
      } finally {
        letters.close();
      }
    },
  };
};

/** Only those that are beyond help are given up. */
export const discard: FaultKind = (kind, random) => {
  const store = pickStore(random);
  const count = 1 + random.below(100);
  return {
    kind,
    what: `${kind} ${count} by ${store}`,
    // With a replay at the same time: each letter ends as one or the other.
    uses: [],
    async play({ mesh, note }) {
      const letters = deadLettersAt(mesh.endpoints.admin[store]!);
      try {
        const ids = await mesh.withBooks(({ query }) =>
          query<{ id: string }>(
            `select batch_id || '/' || ordinal as id from dead_letters
             where state = 'open' and data_id = '' order by random() limit $1`,
            [count],
          ),
        );
        if (ids.length === 0) return;
        const { discarded } = await letters.calls.discardDeadLetters({
          selection: { by: { case: "ids", value: { ids: ids.map(({ id }) => id) } } },
          note: "beyond help",
          discardedBy: "the torture",
        });
        note(`discarded ${discarded} letters`);
      } catch (error) {
        note(`the discard failed: ${(error as Error).message}`);
      } finally {
        letters.close();
      }
    },
  };
};

export const compact: FaultKind = (kind, random) => {
  const store = pickStore(random);
  return {
    kind,
    what: `${kind} by ${store}`,
    uses: [],
    async play({ mesh, note }) {
      const { calls, close } = createGrpcClient(AuditService, mesh.endpoints.admin[store]!);
      try {
        const { compactedInvoices } = await calls.compactBooks({ keep: { seconds: 1n, nanos: 0 } });
        note(`folded ${compactedInvoices} invoices`);
      } catch (error) {
        note(`folding failed: ${(error as Error).message}`);
      } finally {
        close();
      }
    },
  };
};

/** Under load it may be stalled, but it must never find anything. */
export const audit: FaultKind = (kind, random) => {
  const store = pickStore(random);
  return {
    kind,
    what: `${kind} by ${store}`,
    uses: ["books"],
    async play({ mesh, note }) {
      const report = await auditMesh(mesh.endpoints.admin[store]!).catch((error: Error) => {
        note(`the audit broke off: ${error.message}`);
      });
      if (report === undefined) return;
      if (report.findingCount > 0n)
        throw new Error(
          `an audit under load: ${problemsOf(report, Number(report.total?.accepted)).join("; ")}`,
        );
      note(
        `audited ${report.lastNumber} numbers, ${report.stall === undefined ? "closed" : report.stall.why}`,
      );
    },
  };
};
