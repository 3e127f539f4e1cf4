import { decodeBatch } from "@chowhound/shared/batch/decode-batch";
import { natsNames } from "@chowhound/shared/stream/topology";
import { type JetStreamManager, jetstreamManager } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { waitUntil } from "../faults/harness/patience.ts";
import { PROBE_SOURCE } from "../faults/harness/probe.ts";
import type { FaultKind } from "./fault-kind.ts";
import { backUpAndRestore } from "./restore-kinds.ts";

/** A row vanishes behind the store's back. */
export const deleteRow: FaultKind = (kind) => ({
  kind,
  what: kind,
  uses: ["postgres"],
  play: ({ mesh }) =>
    mesh.withBooks(async ({ query }) => {
      await query(
        `delete from records where ctid = (select ctid from records where source_id <> '${PROBE_SOURCE}' limit 1)`,
      );
    }),
});

/** A row is again what it was: no count tells, but the producers know better. */
export const revertRow: FaultKind = (kind) => ({
  kind,
  what: kind,
  uses: ["postgres"],
  play: ({ mesh }) =>
    mesh.withBooks(async ({ query }) => {
      await query(`update records set data = data_id || ' version 1', metadata = '{"version": 1}', attributes = '{"version": "1"}',
        version_us = 9e15::bigint, updated_at = '2026-01-01 00:00:01Z'
        where ctid = (select ctid from records where (metadata->>'version')::int > 1 and source_id <> '${PROBE_SOURCE}' limit 1)`);
    }),
});

/** The database loses what it had booked, and nobody sends it again. */
export const restoreInSilence: FaultKind = (kind) => ({
  kind,
  what: kind,
  uses: ["postgres", "books"],
  play: (stage) => backUpAndRestore(stage, 0),
});

/** A batch vanishes from RAW that a gateway has acknowledged. */
export const loseMessage: FaultKind = (kind) => ({
  kind,
  what: kind,
  uses: ["enricher", "enricher-2", "nats"],
  async play({ mesh, faults, note }) {
    await faults.kill("enricher");
    await faults.kill("enricher-2");
    const nc = await connect({ servers: mesh.endpoints.natsUrl });
    try {
      const jsm = await jetstreamManager(nc);
      const raw = natsNames("chowhound").stream("raw");
      let sequence: number | undefined;
      await waitUntil("RAW holds a batch without a probe", {
        async isDone() {
          sequence = await findWithoutProbe(jsm, raw);
          return sequence !== undefined;
        },
        progress: async () => mesh.ledger.accepted,
      });
      await jsm.streams.deleteMessage(raw, sequence!);
      note(`deleted number ${sequence} of RAW`);
    } finally {
      await nc.close();
    }
    await faults.start("enricher");
    await faults.start("enricher-2");
  },
});

/** The newest batch that nobody waits for: another fault may be measured at this moment. */
async function findWithoutProbe(jsm: JetStreamManager, stream: string): Promise<number | undefined> {
  const { state } = await jsm.streams.info(stream);
  for (let seq = state.last_seq; seq >= state.first_seq && state.messages > 0; seq--) {
    const message = await jsm.streams.getMessage(stream, { seq });
    if (message !== null && !holdsProbe(message.data)) return seq;
  }
}

function holdsProbe(message: Uint8Array): boolean {
  const decoded = decodeBatch(message);
  if (decoded.kind !== "batch") throw new Error(`RAW holds what is ${decoded.kind}`);
  return decoded.batch.originals.some((original) => Buffer.from(original).includes(PROBE_SOURCE));
}
