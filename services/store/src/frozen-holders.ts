import type { Logger } from "@chowhound/shared/runtime/logger";
import { Client } from "pg";
import { connectionOptions, endClient, type Session, terminateSession } from "./postgres-connection.ts";

/** Of the sessions that write. Others have locks as well, but never while they wait for the data of a COPY. */
export const WRITER_NAME = "chowhound-store";

const LOOK_MS = 1_000;
const ANSWER_MS = 2_000;
/** After this long nothing is known any more of what was seen. */
const FORGET_MS = 600_000;

/**
 * Who holds what these sessions wait for, if it is a writer that waits for its client. Its position is another one after each
 * statement and each piece of a COPY.
 */
const FIND_HOLDERS = `
  select holder.pid, holder.backend_start::text as "startedAt", holder.state,
    concat_ws(' ', holder.state_change, copy.bytes_processed) as position
  from pg_stat_activity holder left join pg_stat_progress_copy copy using (pid)
  where holder.pid in (
      select unnest(pg_blocking_pids(pid)) from pg_stat_activity where pid = any($1::int[]) and wait_event_type = 'Lock')
    and holder.application_name = $2 and holder.usename = current_user
    and holder.wait_event = 'ClientRead' and holder.state_change is not null`;

interface Holder extends Session {
  state: string;
  position: string;
}

/**
 * Ends the sessions of writers that stand still, as in a process that is stopped, and hold what writers here wait for. PostgreSQL does
 * so itself between two statements (idle_in_transaction_session_timeout), but in the midst of a COPY it waits for more of it for as
 * long as the connection lives, heeding no timeout.
 *
 * A session stands still when nothing of its client has arrived for as long as PostgreSQL waits for a next statement. One that works
 * slowly gets a piece now and then, or doesn't wait for its client; it is left alone, and so is whoever is nobody's holder.
 */
export class FrozenHolders {
  readonly #options: { url: string; standstillMs: number; log: Logger };
  /** Sessions at work, and since when. */
  readonly #working = new Map<number, number>();
  readonly #seen = new Map<string, { position: string; sinceMs: number }>();
  #timer: NodeJS.Timeout | undefined;
  #isLooking = false;

  /** @param options.standstillMs that much and no more is granted */
  constructor({ url, standstillMs = 10_000, log }: { url: string; standstillMs?: number; log: Logger }) {
    this.#options = { url, standstillMs, log };
  }

  /** Does something in a session, and where that takes long, looks whether it waits for one that stands still. */
  async watch<T>({ pid }: Session, work: () => Promise<T>): Promise<T> {
    this.#working.set(pid, performance.now());
    this.#timer ??= setInterval(() => void this.#look(), LOOK_MS).unref();
    try {
      return await work();
    } finally {
      this.#working.delete(pid);
    }
  }

  async #look(): Promise<void> {
    if (this.#working.size === 0) {
      clearInterval(this.#timer);
      this.#timer = undefined;
      return;
    }
    const nowMs = performance.now();
    const overdue = [...this.#working].filter(([, sinceMs]) => nowMs - sinceMs >= LOOK_MS / 2);
    if (this.#isLooking || overdue.length === 0) return;
    this.#isLooking = true;
    try {
      await this.#endFrozen(overdue.map(([pid]) => pid));
    } catch (error) {
      // What ails the database shows where it is written to.
      this.#options.log.debug({ why: (error as Error).message }, "can't look who holds up the writers");
    } finally {
      this.#isLooking = false;
    }
  }

  async #endFrozen(waiting: readonly number[]): Promise<void> {
    const { url, standstillMs, log } = this.#options;
    const client = new Client({
      ...connectionOptions(url),
      application_name: "chowhound-store-holders",
      connectionTimeoutMillis: ANSWER_MS,
      query_timeout: ANSWER_MS,
    });
    client.on("error", () => {});
    try {
      await client.connect();
      const { rows } = await client.query<Holder>(FIND_HOLDERS, [waiting, WRITER_NAME]);
      for (const holder of rows) {
        const stoodStillMs = this.#standstillOf(holder);
        if (stoodStillMs < standstillMs) continue;
        await terminateSession(client, holder);
        const { pid, startedAt, state } = holder;
        log.warn(
          { session: pid, startedAt, state, stoodStillMs: Math.round(stoodStillMs) },
          "ended the session of a writer that stood still and held up others",
        );
      }
    } finally {
      await endClient(client);
    }
  }

  /** How long it is known to have been where it is. */
  #standstillOf({ pid, startedAt, position }: Holder): number {
    const nowMs = performance.now();
    for (const [name, { sinceMs }] of this.#seen) if (nowMs - sinceMs > FORGET_MS) this.#seen.delete(name);
    const name = `${pid} ${startedAt}`;
    const before = this.#seen.get(name);
    if (before?.position === position) return nowMs - before.sinceMs;
    this.#seen.set(name, { position, sinceMs: nowMs });
    return 0;
  }
}
