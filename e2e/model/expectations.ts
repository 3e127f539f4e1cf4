import { sumVerdicts, VERDICTS } from "../../services/store/src/verdict.ts";
import type { History } from "./history.ts";
import { acceptedRecords, type SentCall, type SentRecord, tenantOf } from "./model-gateway.ts";
import type { ModelMesh } from "./model-mesh.ts";
import { lastIdentity } from "./model-pipelines.ts";

/** What is not true of a mesh at rest that must be; nothing where all is well. */
export function findTroubles(
  mesh: ModelMesh,
  { calls, uuidsNameOneKey, changesIdentity }: History,
): string[] {
  const identityOf = changesIdentity ? lastIdentity : ({ key }: SentRecord) => `key-${key}`;
  return [...findBookTroubles(mesh), ...(uuidsNameOneKey ? findTableTroubles(mesh, calls, identityOf) : [])];
}

/** INV-1, INV-2, INV-3: whatever was sent. */
function findBookTroubles(mesh: ModelMesh): string[] {
  const { rows, invoices, totals, deadLetters } = mesh.database.contents;
  const troubles: string[] = [];
  const expectEqual = (what: string, actual: number, expected: number): void => {
    if (actual !== expected) troubles.push(`${what}: ${actual}, expected ${expected}`);
  };
  for (const { batchId, accepted } of mesh.published) {
    const invoice = invoices.get(batchId);
    if (invoice === undefined) troubles.push(`batch ${batchId} was accepted and is not booked`);
    else expectEqual(`accepted of batch ${batchId}`, invoice.accepted, accepted);
  }
  for (const [batchId, { accepted, verdicts }] of invoices)
    expectEqual(`verdicts of batch ${batchId}`, sumVerdicts(verdicts), accepted);
  const booked = [...invoices.values()];
  expectEqual("total accepted", totals.accepted, sum(booked.map(({ accepted }) => accepted)));
  for (const verdict of VERDICTS)
    expectEqual(`total ${verdict}`, totals[verdict], sum(booked.map(({ verdicts }) => verdicts[verdict])));
  expectEqual("rows", rows.size, totals.stored - totals.deleted);
  expectEqual("dead letters", new Set(deadLetters).size, totals.dead_lettered);
  expectEqual(
    "rows by uuid",
    new Set([...rows.values()].map((row) => `${row.tenantId}/${row.uuid}`)).size,
    rows.size,
  );
  return troubles;
}

/** INV-2, INV-4: the greatest record of each key is the row, and there is no other row. */
function findTableTroubles(
  mesh: ModelMesh,
  calls: readonly SentCall[],
  identityOf: (record: SentRecord) => string,
): string[] {
  const greatest = new Map<string, Buffer>();
  for (const call of calls) {
    const accepted = acceptedRecords(call);
    call.records.forEach((record, n) => {
      if (record.key === 0) return;
      const name = `${tenantOf(call.tenant)}\0forum\0town-square\0${identityOf(record)}`;
      const order = orderOf(BigInt(accepted[n]!.versionUs), accepted[n]!.contentHash);
      const other = greatest.get(name);
      if (other === undefined || Buffer.compare(order, other) > 0) greatest.set(name, order);
    });
  }
  const actual = new Map(
    [...mesh.database.contents.rows.values()].map(({ record }) => [
      record.key,
      orderOf(record.versionUs, record.contentHash),
    ]),
  );
  return [...new Set([...greatest.keys(), ...actual.keys()])].flatMap((key) => {
    const [expected, found] = [greatest.get(key)?.toString("hex"), actual.get(key)?.toString("hex")];
    return expected === found
      ? []
      : [`the row of ${key.replaceAll("\0", "/")} is ${found}, expected ${expected}`];
  });
}

/** Version and content as bytes that compare as the two do. Which pipeline came last is for the history to say. */
function orderOf(versionUs: bigint, contentHash: Uint8Array): Buffer {
  const version = Buffer.alloc(8);
  version.writeBigInt64BE(versionUs);
  return Buffer.concat([version, contentHash]);
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
