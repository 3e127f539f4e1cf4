import { natsNames } from "@chowhound/shared/stream/topology";
import { jetstreamManager } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { waitUntil } from "../faults/harness/patience.ts";
import type { FaultKind } from "./fault-kind.ts";

/** A row vanishes behind the store's back. */
export const deleteRow: FaultKind = (kind) => ({
  kind,
  what: kind,
  uses: ["postgres"],
  play: ({ mesh }) =>
    mesh.withBooks(async ({ query }) => {
      await query(
        "delete from records where ctid = (select ctid from records where source_id <> 'probe' limit 1)",
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
        where ctid = (select ctid from records where (metadata->>'version')::int > 1 and source_id <> 'probe' limit 1)`);
    }),
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
      await waitUntil("RAW holds a batch", {
        isDone: async () => (await mesh.streams()).raw.messages > 0,
        progress: async () => mesh.ledger.accepted,
      });
      const { state } = await jsm.streams.info(raw);
      await jsm.streams.deleteMessage(raw, state.last_seq);
      note(`deleted number ${state.last_seq} of RAW`);
    } finally {
      await nc.close();
    }
    await faults.start("enricher");
    await faults.start("enricher-2");
  },
});
