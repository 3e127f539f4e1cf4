import { cp, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { auditMesh } from "@chowhound/local/audit";
import { createGrpcClient } from "@chowhound/local/grpc-client";
import { AdminService } from "@chowhound/shared/contracts/chowhound/v1/admin_service";
import { AuditVerdict } from "@chowhound/shared/contracts/chowhound/v1/audit_service";
import { PipelineService } from "@chowhound/shared/contracts/chowhound/v1/pipeline_service";
import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { type MeshUnderTest, note, startMeshUnderTest } from "./mesh-under-test.ts";
import { CHOW, type Ended, startCommand } from "./run-command.ts";

const RAW = "chowhound-raw";
const WAIT = { timeout: 15_000, interval: 50 };
/** Of one note in `records`; with it a row can be put back. */
const COLUMNS =
  "tenant_id, source_type, source_id, data_id, uuid, version_us, content_hash, pipeline_version, data, metadata, metadata_type, lang, attributes, accepted_at, batch_id, receipt_id";

let mesh: MeshUnderTest;
let copyDir: string;
beforeAll(async () => {
  mesh = await startMeshUnderTest({ env: { store: { CHOWHOUND_ACK_WAIT: "2s" } } });
  copyDir = await mkdtemp(join(tmpdir(), "chowhound-audit-"));
  await applyPipeline("broken", "{ require: { fields: [metadata.nowhere] } }");
  await push(3);
  await mesh.ingest([note("dead", "dead", 1, { sourceType: "broken" })]);
  await mesh.untilDrained();
}, 120_000);
afterAll(async () => {
  await mesh.remove();
  await rm(copyDir, { recursive: true, force: true });
});

/** As chow prints it. */
interface Report {
  verdict: string;
  epoch: string;
  lastNumber: string;
  compactedInvoices: string;
  findings: {
    reason: string;
    firstNumber: string;
    lastNumber: string;
    epoch: string;
    tenantId: string;
    sourceType: string;
    sourceId: string;
    counter: string;
    expected: string;
    found: string;
    batchIds: string[];
  }[];
  stall?: { stream: string; batchesLeft: string; why: string; oldestAge: string; pendingBatches: string };
  total: Record<string, string>;
  balances: unknown[];
  writeOffs: { kind: string; note: string; writtenOffBy: string; firstNumber: string }[];
}

function chow(...args: string[]): Promise<Ended> {
  return startCommand([...CHOW, ...args, "--admin", `store=${mesh.endpoints.admin.store}`]).ended;
}

async function audit(...args: string[]): Promise<{ code: number | null; report: Report }> {
  const { code, stdout, stderr } = await chow("audit", "--json", ...args);
  expect(stderr).toBe("");
  return { code, report: JSON.parse(stdout) };
}

/** The findings with their numbers: "number_missing 5-5 local note e2e: rows 3/2" (expected/found). */
async function findings(): Promise<{ code: number | null; findings: string[] }> {
  const { code, report } = await audit();
  return {
    code,
    findings: report.findings.map(
      ({ reason, firstNumber, lastNumber, tenantId, sourceType, sourceId, counter, expected, found }) => {
        const numbers = firstNumber === "0" ? "" : `${firstNumber}-${lastNumber}`;
        const where = [numbers, tenantId, sourceType, sourceId].filter((part) => part !== "");
        return `${[reason, ...where].join(" ")}: ${counter} ${expected}/${found}`;
      },
    ),
  };
}

/** Asked without chow, to be quick. */
async function expectClosed(): Promise<void> {
  const { verdict, findings } = await auditMesh(mesh.endpoints.admin.store!);
  expect({ verdict, findings }).toEqual({ verdict: AuditVerdict.CLOSED, findings: [] });
}

let pushed = 0;
/** Batches of one note each. */
async function push(batches: number): Promise<void> {
  for (let i = 0; i < batches; i++) await mesh.ingestUntilAccepted([note(`n${++pushed}`, "precious")]);
}

async function applyPipeline(sourceType: string, steps: string): Promise<void> {
  const client = createGrpcClient(PipelineService, mesh.endpoints.admin.enricher!);
  await client.calls.applyPipeline({
    definition: `{ tenant: "*", source_type: ${sourceType}, steps: [${steps}] }`,
  });
  client.close();
}

async function whilePaused(service: string, action: () => Promise<void>): Promise<void> {
  const client = createGrpcClient(AdminService, mesh.endpoints.admin[service]!);
  await client.calls.pause({});
  // The gateway looks at a RAW that was made anew within a second, and a fetch that is under way still counts as taking.
  await sleep(1_100);
  await vi.waitFor(async () => expect(await fetchesOf(service)).toBe(0), { timeout: 10_000, interval: 50 });
  try {
    await action();
  } finally {
    await client.calls.resume({});
    client.close();
  }
}

/** How many fetches of a stage wait at the server. */
function fetchesOf(service: string): Promise<number> {
  return withNats(async (_, jsm) => {
    let waiting = 0;
    for (const stream of [RAW, "chowhound-enriched", "chowhound-unique"])
      for (const info of await jsm.consumers.list(stream).next())
        if (info.name.startsWith(`${service}-`)) waiting += info.num_waiting;
    return waiting;
  });
}

async function withNats<T>(
  action: (js: ReturnType<typeof jetstream>, jsm: Awaited<ReturnType<typeof jetstreamManager>>) => Promise<T>,
): Promise<T> {
  const nc = await connect({ servers: mesh.endpoints.natsUrl });
  try {
    return await action(jetstream(nc), await jetstreamManager(nc));
  } finally {
    await nc.close();
  }
}

const lastNumber = (): Promise<number> =>
  withNats(async (_, jsm) => (await jsm.streams.info(RAW)).state.last_seq);

const writeOff = async (first: number, last = first) => {
  const { epoch } = await auditMesh(mesh.endpoints.admin.store!);
  const words = [String(epoch), String(first), String(last), "--note", "for a test", "--by", "ada", "--yes"];
  return chow("audit", "write-off", ...words);
};

describe("chow audit", () => {
  it("is closed on a healthy mesh, and shows the balance", async () => {
    const { code, report } = await audit();
    expect(code).toBe(0);
    expect(report).toMatchObject({
      verdict: "AUDIT_VERDICT_CLOSED",
      lastNumber: "4",
      total: { accepted: "4", stored: "3", deadLettered: "1", rows: "3", openDeadLetters: "1" },
    });
    const { report: ofOne } = await audit("--tenant", "nobody");
    expect(ofOne).toMatchObject({ balances: [], total: { accepted: "4" } });
    const { stdout } = await chow("audit");
    expect(stdout).toMatch(/TENANT +ACCEPTED +STORED .* ROWS +OPEN LETTERS/);
    expect(stdout).toMatch(/\nlocal +4 +3 /);
    expect(stdout).toMatch(/\nClosed: all numbers of RAW up to 4 /);
  });

  it("is closed under load", async () => {
    const isOver = new AbortController();
    const producing = (async () => {
      while (!isOver.signal.aborted) await push(1);
    })();
    for (let i = 0; i < 3; i++) await expectClosed();
    expect(await findings()).toEqual({ code: 0, findings: [] });
    isOver.abort();
    await producing;
    await expectClosed();
  });

  it.each([
    ["the store", "store", "chowhound-unique"],
    ["the enricher", "enricher", RAW],
  ])("is stalled while %s is paused, and says so", async (_, service, stream) => {
    await whilePaused(service, async () => {
      await push(2);
      const { code, report } = await audit("--timeout", "1s");
      expect(code).toBe(2);
      expect(report).toMatchObject({
        verdict: "AUDIT_VERDICT_STALLED",
        findings: [],
        stall: {
          stream,
          batchesLeft: "2",
          why: expect.stringMatching(`the ${service} takes nothing .* paused`),
        },
      });
      expect(Number.parseFloat(report.stall!.oldestAge)).toBeGreaterThan(0);
      const { stdout } = await chow("audit", "--timeout", "1s");
      expect(stdout).toMatch(/^Stalled: up to 2 batches are in .* Nothing was counted\./);
    });
    await expectClosed();
  });

  it.each<[string, string, string, string[]]>([
    [
      "an invoice's count that was changed",
      "update invoices set stored = stored + 1 where raw_seq = 2",
      "update invoices set stored = stored - 1 where raw_seq = 2",
      ["invoice_unbalanced 2-2: verdicts 1/2", "totals_differ: stored N+1/N"],
    ],
    [
      "a total that was changed",
      "update totals set stored = stored + 2 where ctid = (select ctid from totals where source_type = 'note' limit 1)",
      "update totals set stored = stored - 2 where ctid = (select ctid from totals where source_type = 'note' and accepted <> stored + updated + unchanged + stale + duplicate)",
      [
        "totals_unbalanced local note e2e: verdicts N/N+2",
        "totals_differ: stored N/N+2",
        "rows_differ local note e2e: rows N+2/N",
      ],
    ],
    [
      "a row that was deleted",
      `create table taken as select ${COLUMNS} from records where data_id = 'n1'; delete from records where data_id = 'n1'`,
      `insert into records (${COLUMNS}) select * from taken; drop table taken`,
      ["rows_differ local note e2e: rows N/N-1"],
    ],
    [
      "a row that was added",
      `insert into records (${COLUMNS}) select ${COLUMNS.replace("source_id", "'elsewhere'").replace(" uuid", " gen_random_uuid()")} from records where data_id = 'n1'`,
      "delete from records where source_id = 'elsewhere'",
      ["rows_differ local note elsewhere: rows 0/1"],
    ],
    [
      "a dead letter that was deleted",
      "create table taken as select * from dead_letters; delete from dead_letters",
      "insert into dead_letters select * from taken; drop table taken",
      ["letters_differ local: open dead letters 1/0"],
    ],
  ])("names %s", async (_, harm, mend, expected) => {
    await mesh.books.query(harm);
    // N: how many notes there are.
    const named = expected.map((line) =>
      line.replaceAll(/N([+-]\d+)?/g, (_match, more = "0") => String(pushed + Number(more))),
    );
    expect(await findings()).toEqual({ code: 1, findings: named });
    await mesh.books.query(mend);
    await expectClosed();
  });

  it("names a batch that was fed in twice, until it is written off", async () => {
    await whilePaused("enricher", async () => {
      await push(1);
      await withNats(async (js, jsm) => {
        const message = await jsm.streams.getMessage(RAW, { last_by_subj: "chowhound.raw.0" });
        await js.publish(message!.subject, message!.data, { headers: message!.header });
      });
    });
    const copy = await lastNumber();
    expect(await findings()).toEqual({
      code: 1,
      findings: [`batch_repeated ${copy}-${copy}: numbers of the batch 1/2`],
    });
    expect(await writeOff(copy - 1)).toMatchObject({
      code: 1,
      stderr: expect.stringContaining("write_off_refused"),
    });
    expect(await writeOff(copy)).toMatchObject({ code: 0 });
    await expectClosed();
  });

  it("names a batch that was taken out of RAW, until it is written off, and shows that for ever", async () => {
    let lost = 0;
    await whilePaused("enricher", async () => {
      await push(2);
      lost = (await lastNumber()) - 1;
      await withNats((_, jsm) => jsm.streams.deleteMessage(RAW, lost));
    });
    expect(await findings()).toEqual({ code: 1, findings: [`number_missing ${lost}-${lost}: batches 1/0`] });
    const { stdout } = await chow("audit");
    expect(stdout).toMatch(`number_missing: number ${lost} of epoch `);
    expect(stdout).toContain(`Number ${lost} of RAW was given out and never booked`);
    expect(stdout).toContain("What to do: have the producers send that time again");
    expect(stdout).toMatch(/\nBroken: 1 finding; docs\/audit\.md/);

    expect(await writeOff(lost, lost + 1)).toMatchObject({ code: 1 });
    expect(await writeOff(lost, lost + 5)).toMatchObject({ code: 1 });
    expect(await writeOff(lost)).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(`Written off as missing: number ${lost} .* by ada`),
    });
    const { code, report } = await audit();
    expect(code).toBe(0);
    expect(report.writeOffs[0]).toMatchObject({
      kind: "AUDIT_FINDING_KIND_NUMBER_MISSING",
      firstNumber: String(lost),
      note: "for a test",
      writtenOffBy: "ada",
    });
  });

  it("is closed when old invoices have been folded into sums", async () => {
    // The newest thousand of an epoch are kept, so here are some more, of one that has ended.
    await mesh.books.query(
      `insert into invoices (batch_id, epoch, raw_seq, accepted_at, booked_at, accepted)
       select gen_random_uuid(), 1, n, now() - interval '2 hours', now() - interval '2 hours', 0 from generate_series(1, 1100) n`,
    );
    await expectClosed();
    const { code, stdout } = await chow("audit", "compact", "--keep", "1h");
    expect({ code, stdout }).toEqual({ code: 0, stdout: "100 invoices were folded into sums\n" });
    const { report } = await audit();
    expect(report).toMatchObject({ verdict: "AUDIT_VERDICT_CLOSED", compactedInvoices: "100" });
    await mesh.books.query("update compacted_invoices set stale = stale + 1");
    expect((await findings()).findings).toContain("invoice_unbalanced 1-100: verdicts 0/1");
    await mesh.books.query("update compacted_invoices set stale = stale - 1");
  });

  it("names a restored database, and a RAW that was restored from an older copy", async () => {
    const copied = await copyRaw();
    await push(3);
    await expectClosed();

    // The database loses the last batch, as it would by a restored backup.
    const lost = await lastNumber();
    await mesh.books.query(`create table taken as select * from invoices where raw_seq = ${lost}`);
    await mesh.books.query(`delete from invoices where raw_seq = ${lost}`);
    const restored = await findings();
    expect(restored.code).toBe(1);
    expect(restored.findings).toContain(`number_missing ${lost}-${lost}: batches 1/0`);
    await mesh.books.query("insert into invoices select * from taken; drop table taken");
    await expectClosed();

    await restoreRaw();
    expect(await lastNumberSoon()).toBe(copied);
    await vi.waitFor(async () => {
      expect(await findings()).toEqual({
        code: 1,
        findings: [`number_ahead ${copied + 1}-${copied + 3}: last number ${copied}/${copied + 3}`],
      });
    }, WAIT);
    await push(2);
    const rewound = await findings();
    expect(rewound).toEqual({
      code: 1,
      findings: [
        `number_reused ${copied + 1}-${copied + 2}: batches of a number 1/2`,
        `number_ahead ${copied + 3}-${copied + 3}: last number ${copied + 2}/${copied + 3}`,
      ],
    });
    // Nobody had to ask: the stages and the store have noticed by themselves.
    await vi.waitFor(async () => {
      expect(await rewindsSeenBy("store")).toBeGreaterThan(0n);
    }, WAIT);
    expect(await writeOff(copied + 1, copied + 3)).toMatchObject({ code: 0 });
    await expectClosed();

    // docs/audit.md: a new RAW gives out no number twice any more.
    await whilePaused("gateway", async () => {
      await mesh.untilDrained();
      await withNats((_, jsm) => jsm.streams.delete(RAW));
    });
    await push(2);
    expect(await lastNumberSoon()).toBeLessThan(copied);
    await expectClosed();
  }, 60_000);
});

describe("chow audit, where RAW lost batches that it had acknowledged", () => {
  it("names numbers that were filled with other batches", async () => {
    const copied = await copyRaw();
    const seenBefore = await rewindsSeenBy("gateway");
    await whilePaused("enricher", async () => {
      await push(7);
      expect(await lastNumber()).toBe(copied + 7);
      await restoreRaw();
      expect(await lastNumberSoon()).toBe(copied);
      await push(7);
    });
    const again = `number_reused ${copied + 1}-${copied + 7}: batches of a number 1/2`;
    expect(await findings()).toEqual({ code: 1, findings: [again] });
    // The gateway has noticed, too, as its batches were given numbers that it had been given before.
    expect(await rewindsSeenBy("gateway")).toBe(seenBefore + 1n);
    expect(await writeOff(copied + 1, copied + 7)).toMatchObject({ code: 0 });
    await expectClosed();
  }, 60_000);

  it("names numbers of a RAW that is gone", async () => {
    const { epoch } = await auditMesh(mesh.endpoints.admin.store!);
    let last = 0;
    await whilePaused("enricher", async () => {
      await push(3);
      last = await lastNumber();
      // The store looks every other second.
      await vi.waitFor(async () => {
        const given = await mesh.books.query(
          `select last_seq::int as last from raw_given where epoch = ${epoch}`,
        );
        expect(given).toEqual([{ last }]);
      }, WAIT);
      await stopNats();
      await rm(join(natsDir(), "jetstream"), { recursive: true });
      await mesh.process("nats").restart();
      await push(5);
    });
    expect(await findings()).toEqual({
      code: 1,
      findings: [`number_missing ${last - 2}-${last}: batches 3/0`],
    });
    const words = [
      String(epoch),
      String(last - 2),
      String(last),
      "--note",
      "for a test",
      "--by",
      "ada",
      "--yes",
    ];
    expect(await chow("audit", "write-off", ...words)).toMatchObject({ code: 0 });
    await expectClosed();
  }, 60_000);
});

async function rewindsSeenBy(service: string): Promise<bigint> {
  const status = createGrpcClient(AdminService, mesh.endpoints.admin[service]!);
  const { counters } = await status.calls.getStatus({});
  status.close();
  return counters["chowhound.stream.rewinds"] ?? 0n;
}

/** Copies the streams as they are, and returns RAW's last number. */
async function copyRaw(): Promise<number> {
  await stopNats();
  await rm(join(copyDir, "jetstream"), { recursive: true, force: true });
  await cp(join(natsDir(), "jetstream"), join(copyDir, "jetstream"), { recursive: true });
  await mesh.process("nats").restart();
  return await lastNumberSoon();
}

async function restoreRaw(): Promise<void> {
  await stopNats();
  await rm(join(natsDir(), "jetstream"), { recursive: true });
  await cp(join(copyDir, "jetstream"), join(natsDir(), "jetstream"), { recursive: true });
  await mesh.process("nats").restart();
}

async function stopNats(): Promise<void> {
  mesh.process("nats").kill("SIGTERM");
  await mesh.process("nats").exited();
}

const natsDir = (): string => join(mesh.process("nats").logFile, "..");

/** NATS has just been started. */
async function lastNumberSoon(): Promise<number> {
  return await vi.waitFor(lastNumber, WAIT);
}
