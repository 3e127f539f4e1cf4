import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  GetStatusResponseSchema,
  ServiceState,
} from "@chowhound/shared/contracts/chowhound/v1/admin_service";
import { expect, test } from "vitest";
import type { AdminProcess } from "../mesh/mesh.ts";
import type { ProcessStatus } from "../mesh/process-status.ts";
import { createMeshView } from "./mesh-view.ts";
import { renderMesh } from "./render-mesh.ts";

const STORED = "chowhound.records.verdicts{chowhound.verdict=stored}";
const DEAD = "chowhound.records.verdicts{chowhound.verdict=dead_lettered}";

function answer(service: string, status: MessageInitShape<typeof GetStatusResponseSchema>): ProcessStatus {
  const process = { service } as AdminProcess;
  return { process, status: create(GetStatusResponseSchema, { state: ServiceState.RUNNING, ...status }) };
}

function lag(batches: number, records: number, seconds?: number) {
  const oldestAge = seconds === undefined ? {} : { oldestAge: { seconds: BigInt(seconds) } };
  return [{ pendingBatches: BigInt(batches), pendingRecordsEstimate: BigInt(records), ...oldestAge }];
}

const at = (second: number) => new Date(Date.UTC(2026, 0, 1) + second * 1000);
const before = createMeshView(
  [
    answer("store", { lag: lag(0, 0), counters: { [STORED]: 1_000n } }),
    answer("store", { counters: { [STORED]: 500n } }),
  ],
  at(0),
);
const view = createMeshView(
  [
    answer("gateway", {
      throughput: { records: 1_234_567n, batches: 1n, recordsPerSecond: 9_876.5 },
      counters: {
        "chowhound.records.accepted": 1_234_567n,
        "chowhound.records.rejected{chowhound.reason=missing_time}": 3n,
        "chowhound.records.rejected{chowhound.reason=missing_field}": 4n,
        "chowhound.records.rejected.not": 1n,
      },
    }),
    answer("enricher", {
      state: ServiceState.STARTING,
      waitingFor: ["postgres: connection refused"],
      lag: lag(0, 0),
    }),
    {
      process: { service: "dedup" } as AdminProcess,
      problem: "nothing answers at http://127.0.0.1:1: ECONNREFUSED",
    },
    answer("store", {
      throughput: { records: 3_000n, batches: 1n, recordsPerSecond: 5 },
      lag: lag(12, 6_000, 75),
      counters: { [STORED]: 3_000n, [DEAD]: 2n },
    }),
    answer("store", { state: ServiceState.PAUSED, lag: lag(0, 0), counters: { [STORED]: 100n } }),
  ],
  at(2),
  before,
);

test("sums counters over attributes and processes, with rates since the view before", () => {
  expect(view.processes.map(({ name }) => name)).toEqual([
    "gateway",
    "enricher",
    "dedup",
    "store",
    "store-2",
  ]);
  expect(view.processes[0]!.counts).toEqual([
    { name: "accepted", total: 1_234_567, perSecond: 0 },
    { name: "rejected", total: 7, perSecond: 0 },
  ]);
  expect(view.verdicts).toEqual([
    { name: "stored", total: 3_100, perSecond: 800 },
    { name: "dead_lettered", total: 2, perSecond: 1 },
  ]);
});

test("has no rate below zero after a restart", () => {
  const restarted = createMeshView([answer("store", { counters: { [STORED]: 10n } })], at(4), view);
  expect(restarted.verdicts).toEqual([{ name: "stored", total: 10, perSecond: 0 }]);
});

test.each([140, 100, 60, 40, 12])("fits %i columns", (columns) => {
  const lines = renderMesh(view, { columns, rows: 24 });
  for (const line of lines) expect(line.length).toBeLessThanOrEqual(columns);
  expect(`\n${lines.join("\n")}\n`).toMatchSnapshot();
});

test.each([24, 5, 2, 1])("fits %i rows", (rows) => {
  const lines = renderMesh(view, { columns: 80, rows });
  expect(lines.length).toBeLessThanOrEqual(rows);
  if (rows < 8) expect(lines.at(-1)).toMatch(/^… \d+ more lines$/);
});

test("colours only what is wrong, and stays as wide", () => {
  const painted: string[] = [];
  const lines = renderMesh(view, { columns: 100, rows: 24 }, (style, text) => {
    painted.push(`${style}: ${text}`);
    return text;
  });
  expect(painted).toEqual([
    "yellow: starting",
    "red: unreachable",
    "yellow: paused",
    "yellow: enricher: waiting for postgres: connection refused",
    "yellow: dedup: nothing answers at http://127.0.0.1:1: ECONNREFUSED",
  ]);
  expect(lines).toEqual(renderMesh(view, { columns: 100, rows: 24 }));
});
