import type { Logger } from "@chowhound/shared/runtime/logger";
import { Client } from "pg";
import { compactInvoices } from "./compact-invoices.ts";
import { highestGiven, noteGiven, noteRewind } from "./given-numbers.ts";
import type {
  Balance,
  Examination,
  ExamineOptions,
  Ledger,
  NumberRange,
  RawNumbers,
  WriteOff,
} from "./ledger.ts";
import { CHECKS, type CheckContext, countSources, type EpochBounds } from "./ledger-checks.ts";
import { connectionOptions, endClient, serverOptions } from "./postgres-connection.ts";
import { explainForOperator } from "./sql-errors.ts";
import { VERDICTS } from "./verdict.ts";
import { readWriteOffs, writeOffNumbers } from "./write-offs.ts";

export interface PostgresLedgerOptions {
  /** postgres://user:password@host:port/database */
  url: string;
  statementTimeoutMs: number;
  log: Logger;
}

const MAX_BALANCES = 1_000;
/** A question that nobody waits for any more ends within this time. */
const CHECK_CLIENT_MS = 2_000;
/** An audit goes on as its caller reads what it tells. */
const WAIT_FOR_CALLER_MS = 60_000;

/** The books in PostgreSQL. Each call has a connection of its own. */
export class PostgresLedger implements Ledger {
  readonly #options: PostgresLedgerOptions;

  constructor(options: PostgresLedgerOptions) {
    this.#options = options;
  }

  async *examine(options: ExamineOptions): AsyncGenerator<string, Examination> {
    const { mark, readRaw, tenantId, maxFindings, signal } = options;
    // Counting everything takes as long as it takes.
    const client = this.#createClient(0);
    const giveUp = (): void => void endClient(client);
    signal.addEventListener("abort", giveUp, { once: true });
    try {
      await client.connect();
      await client.query("begin isolation level repeatable read");
      const { rows } = await client.query<{ at: Date }>("select now() as at");
      yield "numbers";
      const raw = await readRaw();
      const context: CheckContext = {
        client,
        raw,
        bounds: await readBounds(client, mark, raw),
        limit: maxFindings,
      };
      yield "rows";
      await countSources(client);
      const findings: Examination["findings"] = [];
      let findingCount = 0;
      for (const { what, run } of CHECKS) {
        yield what;
        const checked = await run(context);
        findings.push(...checked.findings);
        findingCount += checked.count;
      }
      const balances = await readBalances(client, tenantId);
      return {
        at: rows[0]!.at,
        ...(await countInvoices(client)),
        ...balances,
        findings: findings.slice(0, maxFindings),
        findingCount,
        writeOffs: await readWriteOffs(client),
      };
    } catch (error) {
      throw explainForOperator(error);
    } finally {
      signal.removeEventListener("abort", giveUp);
      await endClient(client);
    }
  }

  noteGiven(raw: RawNumbers): Promise<bigint> {
    return this.#use(async (client) => {
      await noteGiven(client, raw);
      const { rows } = await client.query<{ highest: string }>(`select ${highestGiven("$1")} as highest`, [
        raw.epoch,
      ]);
      return BigInt(rows[0]!.highest);
    });
  }

  noteRewind(numbers: NumberRange): Promise<void> {
    return this.#use((client) => noteRewind(client, numbers));
  }

  writeOff(
    numbers: NumberRange,
    raw: RawNumbers,
    by: Pick<WriteOff, "note" | "writtenOffBy">,
  ): Promise<WriteOff> {
    return this.#use((client) => writeOffNumbers(client, numbers, raw, by));
  }

  compact(keepMs: number, signal: AbortSignal): Promise<number> {
    return this.#use((client) => compactInvoices(client, { keepMs, signal, log: this.#options.log }));
  }

  #createClient(statementTimeoutMs: number): Client {
    const options = connectionOptions(this.#options.url, { idleInTransactionMs: WAIT_FOR_CALLER_MS });
    const client = new Client({
      ...options,
      application_name: "chowhound-store-ledger",
      statement_timeout: statementTimeoutMs,
      ...(statementTimeoutMs > 0 && { query_timeout: statementTimeoutMs + 5_000 }),
      options: `${options.options} ${serverOptions({ client_connection_check_interval: CHECK_CLIENT_MS })}`,
    });
    // A lost connection fails the query that is under way.
    client.on("error", () => {});
    return client;
  }

  async #use<T>(ask: (client: Client) => Promise<T>): Promise<T> {
    const client = this.#createClient(this.#options.statementTimeoutMs);
    try {
      await client.connect();
      return await ask(client);
    } catch (error) {
      throw explainForOperator(error);
    } finally {
      await endClient(client);
    }
  }
}

/**
 * Which numbers must be accounted for: of the audited epoch all that RAW had given out when the audit began, of earlier
 * ones all up to the highest that is known to have been given out. One that RAW began while the audit was waiting is not judged.
 */
async function readBounds(client: Client, mark: RawNumbers, raw: RawNumbers): Promise<EpochBounds[]> {
  const { rows } = await client.query<EpochBounds>(
    `with highest as (
       select epoch, max(raw_seq) as last from (
         select epoch, raw_seq from invoices where epoch > 0
         union all select epoch, raw_seq from invoice_repeats where epoch > 0
         union all select epoch, through_seq from compacted_invoices
         union all select epoch, last_seq from raw_given
         union all select $1::bigint, 0) booked group by epoch)
     select epoch, coalesce(through_seq, 0) as through,
       case when epoch = $1 then $2::bigint else last end as last
     from highest left join compacted_invoices using (epoch)
     where epoch = $1 or epoch <> $3`,
    [mark.epoch, mark.last, raw.epoch],
  );
  return rows;
}

async function countInvoices(client: Client): Promise<{ invoices: bigint; compactedInvoices: bigint }> {
  const { rows } = await client.query<{ kept: string; compacted: string }>(
    `select (select count(*) from invoices) as kept,
       (select coalesce(sum(invoices), 0) from compacted_invoices)::bigint as compacted`,
  );
  const { kept, compacted } = rows[0]!;
  return { invoices: BigInt(kept) + BigInt(compacted), compactedInvoices: BigInt(compacted) };
}

async function readBalances(
  client: Client,
  tenantId: string | undefined,
): Promise<{ total: Balance; balances: Balance[] }> {
  const sums = [
    "sum(accepted - replayed) as accepted",
    ...[...VERDICTS, "replayed", "deleted", "reclaimed", "discarded"].map(
      (name) => `sum(${name}) as ${name}`,
    ),
  ];
  const { rows } = await client.query<Record<string, string | null>>(
    `with booked as (select tenant_id, ${sums.join(", ")} from audit_totals group by tenant_id),
       landed as (select tenant_id, sum(rows) as rows from audit_rows group by tenant_id),
       open as (select tenant_id, count(*) as open from dead_letters where state = 'open' group by tenant_id),
       balances as (select * from booked full join landed using (tenant_id) full join open using (tenant_id))
     select tenant_id, ${BALANCE_COLUMNS.map((name) => `coalesce(sum(${name}), 0)::bigint as ${name}`).join(", ")}
     from balances group by grouping sets ((tenant_id), ())
     having grouping(tenant_id) = 1 or $1::text is null or tenant_id = $1
     order by grouping(tenant_id) desc, accepted desc, tenant_id limit ${MAX_BALANCES + 1}`,
    [tenantId ?? null],
  );
  const [total, ...balances] = rows.map(toBalance) as [Balance, ...Balance[]];
  return { total, balances };
}

const BALANCE_COLUMNS = [
  "accepted",
  ...VERDICTS,
  "replayed",
  "rows",
  "deleted",
  "open",
  "reclaimed",
  "discarded",
];

function toBalance(row: Record<string, string | null>): Balance {
  const { open, ...numbers } = Object.fromEntries(
    BALANCE_COLUMNS.map((name) => [name, BigInt(row[name]!)]),
  ) as Record<string, bigint>;
  return { ...numbers, tenantId: row.tenant_id ?? "", openDeadLetters: open! } as Balance;
}
