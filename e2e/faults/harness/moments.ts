import { natsNames, type StreamRole } from "@chowhound/shared/stream/topology";
import type { Moment } from "./fault-proxy.ts";

const names = natsNames("chowhound");

/** A batch is about to reach its stream: it is not there yet. */
export function beforePublish(role: StreamRole): Moment {
  const label = `PUB ${names.subject(role, 0)}`;
  return {
    what: `before a batch reaches ${role.toUpperCase()}`,
    server: "nats",
    direction: "toServer",
    matches: (frame) => frame.label === label,
  };
}

/** The stream has stored a batch; who published it doesn't know yet. */
export function afterPublish(role: StreamRole): Moment {
  const marker = `"stream":"${names.stream(role)}"`;
  return {
    what: `after ${role.toUpperCase()} has stored a batch, before its acknowledgement arrives`,
    server: "nats",
    direction: "toClient",
    matches: ({ label, payload }) =>
      label.startsWith("MSG _INBOX.") && payload.includes(marker) && payload.includes('"seq":'),
  };
}

/** A stage's work on a batch of the stream is safe downstream; its own acknowledgement is about to be sent. */
export function beforeAcknowledging(role: StreamRole): Moment {
  const stream = `.${names.stream(role)}.`;
  return {
    what: `before a batch of ${role.toUpperCase()} is acknowledged`,
    server: "nats",
    direction: "toServer",
    matches: ({ label, payload }) =>
      label.startsWith("PUB $JS.ACK.") && label.includes(stream) && payload.toString() === "+ACK",
  };
}

/** Within the store's transaction: no row is written, whether records are copied right into the table or beside it first. */
export const beforeRows: Moment = {
  what: "in the transaction, before the rows are written",
  server: "postgres",
  direction: "toServer",
  matches: ({ label }) => label === "Bind upsert" || /^Query .*\bcopy records /.test(label),
};

/** Within the store's transaction: PostgreSQL has the data of a COPY, and waits for its end or for more. */
export const inCopy: Moment = {
  what: "in the transaction, in the midst of a COPY",
  server: "postgres",
  direction: "toServer",
  matches: ({ label }) => label === "CopyDone",
};

/** Within the store's transaction: all rows are written, the books are not. */
export const beforeBooks: Moment = {
  what: "in the transaction, between rows and books",
  server: "postgres",
  direction: "toServer",
  matches: ({ label }) => label === "Bind book-invoices",
};

/** All of the transaction is done but its commit. */
export const beforeCommit: Moment = {
  what: "before the COMMIT reaches PostgreSQL",
  server: "postgres",
  direction: "toServer",
  matches: ({ label }) => /^query .*\bcommit$/i.test(label),
};

/** The transaction is committed; the store doesn't know. */
export const afterCommit: Moment = {
  what: "after PostgreSQL has committed, before the store learns of it",
  server: "postgres",
  direction: "toClient",
  matches: ({ label }) => label === "CommandComplete COMMIT",
};
