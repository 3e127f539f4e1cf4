import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { compareOrder } from "./record-order.ts";
import { type Candidate, settleRecords } from "./settle-records.ts";

const record = (fields: Partial<Candidate> & { content?: number } = {}): Candidate => ({
  tenantId: fields.tenantId ?? "acme",
  key: fields.key ?? "k1",
  uuid: fields.uuid ?? "u1",
  versionUs: fields.versionUs ?? 1n,
  contentHash: fields.contentHash ?? Buffer.from([fields.content ?? 1]),
  pipelineVersion: fields.pipelineVersion ?? 0n,
});

/** Applies records to a table one group after the other, as the database would. */
function applyGroups(groups: readonly (readonly Candidate[])[]) {
  const table = new Map<string, Candidate>();
  const verdicts: string[] = [];
  let deleted = 0;
  for (const group of groups) {
    const rows = [...table.values()].filter((row) =>
      group.some((r) => r.key === row.key || (r.uuid === row.uuid && r.tenantId === row.tenantId)),
    );
    const settled = settleRecords(rows, group);
    for (const key of settled.removals) expect(table.delete(key)).toBe(true);
    for (const winner of settled.winners) {
      expect(table.has(winner.key)).toBe(false);
      table.set(winner.key, winner);
    }
    verdicts.push(...settled.verdicts);
    deleted += settled.deletions.filter(Boolean).length;
  }
  return { table, verdicts, deleted };
}

describe("settleRecords", () => {
  const cases: [string, Candidate[], Candidate[], string[]][] = [
    ["a new key is stored", [], [record()], ["stored"]],
    ["a newer version updates", [record()], [record({ versionUs: 2n, content: 2 })], ["updated"]],
    ["an older version is stale", [record({ versionUs: 2n })], [record({ content: 2 })], ["stale"]],
    ["the same record again is unchanged", [record()], [record()], ["unchanged"]],
    [
      "the same content in a newer version is unchanged",
      [record()],
      [record({ versionUs: 2n })],
      ["unchanged"],
    ],
    ["a newer pipeline updates the same content", [record()], [record({ pipelineVersion: 1n })], ["updated"]],
    [
      "an older pipeline is stale",
      [record({ pipelineVersion: 2n })],
      [record({ pipelineVersion: 1n })],
      ["stale"],
    ],
    [
      "a tie in time goes to the greater content",
      [record({ content: 2 })],
      [record({ content: 1 })],
      ["stale"],
    ],
    ["a uuid under another key conflicts", [record()], [record({ key: "k2", content: 2 })], ["conflict"]],
    ["another tenant's uuid does not", [record()], [record({ key: "t2", tenantId: "other" })], ["stored"]],
    [
      "a repeat within a group is settled too",
      [],
      [record(), record({ versionUs: 2n }), record()],
      ["stored", "unchanged", "stale"],
    ],
  ];
  it.each(cases)("%s", (_, rows, records, verdicts) => {
    expect(settleRecords(rows, records).verdicts).toEqual(verdicts);
  });

  it("moves a row when a newer pipeline derives another key from the same content", () => {
    const before = record({ key: "old" });
    const after = record({ key: "new", pipelineVersion: 5n });
    const settled = settleRecords([before], [after]);
    expect(settled).toMatchObject({
      verdicts: ["updated"],
      winners: [after],
      removals: ["old"],
      deletions: [false],
    });
  });

  it("counts a deletion when the row moves onto a key that has one", () => {
    const before = record({ key: "old" });
    const other = record({ key: "new", uuid: "u2", content: 9 });
    const settled = settleRecords(
      [before, other],
      [record({ key: "new", pipelineVersion: 5n, versionUs: 3n })],
    );
    expect(settled.deletions).toEqual([true]);
    expect(settled.removals.sort()).toEqual(["new", "old"]);
  });

  it("does not move a row to another source: the uuid was given twice", () => {
    const before = record({ key: "note\0a\0k" });
    const after = record({ key: "note\0b\0k", pipelineVersion: 5n });
    expect(settleRecords([before], [after]).verdicts).toEqual(["conflict"]);
    expect(settleRecords([before], [{ ...after, key: "note\0a\0l" }]).verdicts).toEqual(["updated"]);
  });

  it("does not let an older pipeline take a moved row back", () => {
    const moved = record({ key: "new", pipelineVersion: 5n });
    expect(settleRecords([moved], [record({ key: "old" })]).verdicts).toEqual(["stale"]);
  });

  it("frees a uuid that its key no longer has", () => {
    const { table, verdicts } = applyGroups([
      [record({ key: "a", uuid: "u1" })],
      [record({ key: "a", uuid: "u2", versionUs: 2n }), record({ key: "b", uuid: "u1", content: 7 })],
    ]);
    expect(verdicts).toEqual(["stored", "unchanged", "stored"]);
    expect([...table.keys()].sort()).toEqual(["a", "b"]);
  });

  // A uuid names one record; what is sent again under it has the same key.
  const arbitraryRecord = fc
    .record({
      key: fc.integer({ min: 1, max: 4 }),
      twin: fc.integer({ min: 1, max: 2 }),
      version: fc.integer({ min: 1, max: 4 }),
      content: fc.integer({ min: 1, max: 3 }),
      pipeline: fc.integer({ min: 0, max: 1 }),
    })
    .map(({ key, twin, version, content, pipeline }) =>
      record({
        key: `k${key}`,
        uuid: `u${key}-${twin}`,
        versionUs: BigInt(version),
        content,
        pipelineVersion: BigInt(pipeline),
      }),
    );

  it("INV-4: ends in the same table in any order, grouping and repetition", () => {
    const scenario = fc
      .array(arbitraryRecord, { minLength: 1, maxLength: 12 })
      .chain((records) =>
        fc.tuple(
          fc.constant(records),
          fc.shuffledSubarray([...records, ...records], { minLength: records.length * 2 }),
          fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 1, maxLength: 6 }),
        ),
      );
    fc.assert(
      fc.property(scenario, ([records, shuffled, sizes]) => {
        const groups: Candidate[][] = [];
        for (let at = 0, i = 0; at < shuffled.length; i++) {
          const size = sizes[i % sizes.length]!;
          groups.push(shuffled.slice(at, at + size));
          at += size;
        }
        const orders = (table: Map<string, Candidate>) =>
          [...table].map(([key, r]) => [key, r.versionUs, r.contentHash, r.pipelineVersion]).sort();
        const { table, verdicts, deleted } = applyGroups(groups);
        expect(orders(table)).toEqual(orders(applyGroups([records]).table));
        for (const r of records) expect(compareOrder(r, table.get(r.key)!)).toBeLessThanOrEqual(0);
        expect(verdicts).toHaveLength(shuffled.length);
        expect(table.size).toBe(verdicts.filter((verdict) => verdict === "stored").length - deleted);
      }),
      { numRuns: 500 },
    );
  });

  it("keeps the books true also where uuids collide and rows move", () => {
    const wild = fc
      .record({
        key: fc.integer({ min: 1, max: 4 }),
        uuid: fc.integer({ min: 1, max: 3 }),
        version: fc.integer({ min: 1, max: 3 }),
        content: fc.integer({ min: 1, max: 2 }),
        pipeline: fc.integer({ min: 0, max: 2 }),
      })
      .map(({ key, uuid, version, content, pipeline }) =>
        record({
          key: `k${key}`,
          uuid: `u${uuid}`,
          versionUs: BigInt(version),
          content,
          pipelineVersion: BigInt(pipeline),
        }),
      );
    fc.assert(
      fc.property(
        fc.array(fc.array(wild, { minLength: 1, maxLength: 6 }), { minLength: 1, maxLength: 6 }),
        (groups) => {
          const { table, verdicts, deleted } = applyGroups(groups);
          expect(verdicts).toHaveLength(groups.flat().length);
          expect(table.size).toBe(verdicts.filter((verdict) => verdict === "stored").length - deleted);
          expect(new Set([...table.values()].map((row) => row.uuid)).size).toBe(table.size);
        },
      ),
      { numRuns: 500 },
    );
  });
});
