import { CallError } from "@chowhound/shared/errors/call-error";
import type { Client } from "pg";
import { highestGiven } from "./given-numbers.ts";
import type { NumberRange, RawNumbers, WriteOff, WriteOffReason } from "./ledger.ts";
import { REUSED_NUMBERS } from "./ledger-checks.ts";

const MAX_SHOWN = 1_000;

const WRITE_OFF = `reason, epoch, first_seq as first, last_seq as last, note, written_off_by as "writtenOffBy",
  written_off_at as "writtenOffAt"`;

/** The latest first. */
export async function readWriteOffs(client: Client): Promise<WriteOff[]> {
  const { rows } = await client.query(
    `select ${WRITE_OFF} from audit_write_offs order by id desc limit ${MAX_SHOWN}`,
  );
  return rows.map(toWriteOff);
}

/** See Ledger.writeOff. */
export async function writeOffNumbers(
  client: Client,
  numbers: NumberRange,
  raw: RawNumbers,
  { note, writtenOffBy }: Pick<WriteOff, "note" | "writtenOffBy">,
): Promise<WriteOff> {
  const reason = await findWhatIsWrong(client, numbers, raw);
  const { rows } = await client.query(
    `insert into audit_write_offs (reason, epoch, first_seq, last_seq, note, written_off_by)
     values ($1, $2, $3, $4, $5, $6) returning ${WRITE_OFF}`,
    [reason, numbers.epoch, numbers.first, numbers.last, note, writtenOffBy],
  );
  return toWriteOff(rows[0]);
}

/** The one thing that is wrong with all the numbers; rejects with CallError where there is no such thing. */
async function findWhatIsWrong(
  client: Client,
  { epoch, first, last }: NumberRange,
  raw: RawNumbers,
): Promise<WriteOffReason> {
  const { rows } = await client.query<Record<"booked" | "copied" | "repeated" | "reused" | "known", string>>(
    `with booked as (select distinct raw_seq from invoices where epoch = $3 and raw_seq between $4 and $5),
       repeated as (select distinct raw_seq from invoice_repeats
         where epoch = $3 and raw_seq between $4 and $5 and not is_replay),
       reused as (
         select raw_seq from (${REUSED_NUMBERS}) r where epoch = $3 and raw_seq between $4 and $5
         union select generate_series(greatest($4, $2 + 1), least($5, ${highestGiven("$3")})) where $3 = $1)
     select (select count(*) from booked) as booked, (select count(*) from repeated) as repeated,
       (select count(*) from invoice_repeats where epoch = $3 and raw_seq between $4 and $5) as copied,
       (select count(*) from reused) as reused,
       greatest(${highestGiven("$3")}, case when $1 = $3 then $2 end) as known`,
    [raw.epoch, raw.last, epoch, first, last],
  );
  const { rows: compacted } = await client.query<{ through: string }>(
    "select through_seq as through from compacted_invoices where epoch = $1",
    [epoch],
  );
  const isCompacted = first <= BigInt(compacted[0]?.through ?? 0);
  const { booked, copied, repeated, reused, known } = rows[0]!;
  const count = String(last - first + 1n);
  if (last > BigInt(known) && BigInt(reused) === 0n)
    throw refused(`the books and RAW know no number above ${known} of epoch ${epoch}`);
  if (reused === count) return "number_reused";
  if (repeated === count) return "batch_repeated";
  if (booked === "0" && copied === "0" && !isCompacted) return "number_missing";
  throw refused(
    `of these ${count} numbers ${isCompacted ? "the first are" : `${booked} are`} booked as they should be, or not the same is wrong ` +
      "with all of them; name the numbers of one finding",
  );
}

function refused(why: string): CallError {
  return new CallError("write_off_refused", why);
}

function toWriteOff(row: Record<string, unknown>): WriteOff {
  const { epoch, first, last } = row as Record<string, string>;
  return {
    ...(row as unknown as WriteOff),
    epoch: BigInt(epoch!),
    first: BigInt(first!),
    last: BigInt(last!),
  };
}
