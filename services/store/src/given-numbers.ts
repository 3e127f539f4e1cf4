import type { RecordBatch } from "@chowhound/shared/contracts/chowhound/internal/v1/record_batch";
import type { Client } from "pg";
import type { NumberRange, RawNumbers } from "./ledger.ts";

/** SQL: the highest number that RAW is known to have given out in an epoch. */
export const highestGiven = (epoch: string): string => `
  greatest((select last_seq from raw_given where epoch = ${epoch}),
    (select max(raw_seq) from invoices where epoch = ${epoch}),
    (select max(raw_seq) from invoice_repeats where epoch = ${epoch}),
    (select through_seq from compacted_invoices where epoch = ${epoch}), 0)`;

/** Keeps that RAW has given out all numbers up to one. */
export async function noteGiven(client: Client, { epoch, last }: RawNumbers): Promise<void> {
  await client.query(
    `insert into raw_given as g (epoch, last_seq) values ($1, $2)
     on conflict (epoch) do update set last_seq = excluded.last_seq, noted_at = now()
     where g.last_seq < excluded.last_seq`,
    [epoch, last],
  );
}

/** Keeps that RAW gives out these numbers a second time. */
export async function noteRewind(client: Client, { epoch, first, last }: NumberRange): Promise<void> {
  await client.query(
    "insert into raw_rewinds (epoch, first_seq, last_seq) values ($1, $2, $3) on conflict do nothing",
    [epoch, first, last],
  );
}

/**
 * Keeps which of these batches have a number that RAW had given out before, as their gateways know: to be called in the
 * transaction that books them. There are none unless RAW was rewound.
 */
export async function noteSecondNumbers(client: Client, batches: readonly RecordBatch[]): Promise<void> {
  for (const { origin, acknowledged } of batches) {
    if (origin === undefined || acknowledged === undefined) continue;
    const { epoch, sequence } = origin;
    if (acknowledged.epoch !== epoch || acknowledged.sequence < sequence) continue;
    await noteGiven(client, { epoch, last: acknowledged.sequence });
    await noteRewind(client, { epoch, first: sequence, last: sequence });
  }
}
