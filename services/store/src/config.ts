import { natsSettings, stageSettings } from "@chowhound/shared/runtime/common-settings";
import { duration, integer, size, url } from "@chowhound/shared/runtime/config";

export const settings = {
  ...natsSettings,
  ...stageSettings,
  databaseUrl: url("CHOWHOUND_DATABASE_URL", ["postgres:", "postgresql:"], {
    doc: "the PostgreSQL database (18 or newer); the schema is made by the store",
    secret: true,
  }),
  writers: integer("CHOWHOUND_STORE_WRITERS", 1, 16, {
    doc: "database connections that write at the same time",
    fallback: "2",
  }),
  readers: integer("CHOWHOUND_STORE_READERS", 1, 64, {
    doc: "database connections that answer queries at the same time, half of them at most for one tenant; opened when there are queries",
    fallback: "4",
  }),
  groupRecords: integer("CHOWHOUND_STORE_GROUP_RECORDS", 1, 100_000, {
    doc: "records that one transaction takes at most (a single batch may be larger)",
    fallback: "5000",
  }),
  groupBytes: size("CHOWHOUND_STORE_GROUP_BYTES", 64 * 1024, 256 * 1024 ** 2, {
    doc: "bytes that one transaction takes at most (a single batch may be larger)",
    fallback: "8MiB",
  }),
  lingerMs: duration("CHOWHOUND_STORE_LINGER", 0, 60_000, {
    doc: "from the begin of one transaction to that of the next that isn't full; less where it takes less than half of that",
    fallback: "20ms",
  }),
  maxHeld: integer("CHOWHOUND_STORE_MAX_HELD", 1, 1000, {
    doc: "messages held in memory at once, each of a batch or several small ones; all replicas together hold 256 at most",
    fallback: "48",
  }),
  statementTimeoutMs: duration("CHOWHOUND_STORE_STATEMENT_TIMEOUT", 1000, 3_600_000, {
    doc: "how long one statement may take before it is cancelled and tried again",
    fallback: "60s",
  }),
  keepInvoicesMs: duration("CHOWHOUND_STORE_KEEP_INVOICES", 0, 3_650 * 86_400_000, {
    doc: "how long the books keep an invoice for each batch; older ones that are balanced are folded into sums (docs/audit.md); 0s: for ever",
    fallback: "30d",
  }),
};
