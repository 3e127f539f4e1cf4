import { readFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { openBooks } from "@chowhound/local/books";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type MeshUnderTest, note, startMeshUnderTest } from "./mesh-under-test.ts";

let mesh: MeshUnderTest;
beforeAll(async () => {
  mesh = await startMeshUnderTest({
    replicas: { enricher: 2, dedup: 2, store: 2 },
    // Soon enough that what a killed process held comes again within the test.
    env: {
      enricher: { CHOWHOUND_ACK_WAIT: "2s" },
      dedup: { CHOWHOUND_ACK_WAIT: "2s" },
      store: { CHOWHOUND_ACK_WAIT: "2s" },
    },
  });
}, 120_000);
afterAll(() => mesh.remove());

/** Producers that write each key several times, newer every time, until told to stop. */
async function underLoad(
  source: string,
  disturb: () => Promise<void>,
): Promise<{ keys: number; lastRound: number[] }> {
  const PRODUCERS = 3;
  const KEYS = 40;
  let isOver = false;
  const produce = async (producer: number): Promise<number> => {
    for (let round = 1; ; round++) {
      const records = Array.from({ length: KEYS }, (_, i) =>
        note(`${source}/${producer}/${i}`, `round ${round}`, round, { sourceId: source }),
      );
      await mesh.ingestUntilAccepted(records);
      if (isOver) return round;
    }
  };
  const producers = Array.from({ length: PRODUCERS }, (_, producer) => produce(producer));
  await disturb();
  isOver = true;
  return { keys: PRODUCERS * KEYS, lastRound: await Promise.all(producers) };
}

/** INV-1 to INV-4 for one source: books balanced, one row per key, the newest content. */
async function expectWhole(
  source: string,
  { keys, lastRound }: { keys: number; lastRound: number[] },
): Promise<void> {
  await mesh.untilDrained();
  const [books] = await mesh.books.query<{ unbalanced: number; rows: number; booked: number }>(
    `select (select count(*)::int from invoices where accepted <> stored + updated + unchanged + stale + duplicate + conflict + dead_lettered) as unbalanced,
            (select count(*)::int from records where source_id = $1) as rows,
            (select sum(stored - deleted)::int from totals where source_id = $1) as booked`,
    [source],
  );
  expect(books).toEqual({ unbalanced: 0, rows: keys, booked: keys });
  const rows = await mesh.books.query<{ data_id: string; data: string }>(
    "select data_id, data from records where source_id = $1",
    [source],
  );
  for (const { data_id, data } of rows)
    expect(data).toBe(`round ${lastRound[Number(data_id.split("/")[1])]}`);
}

async function countDrained(logFile: string): Promise<number> {
  return (await readFile(logFile, "utf8")).split('"message":"drained"').length - 1;
}

describe("a crash", () => {
  it.each(["gateway", "enricher", "dedup", "store"])(
    "INV-2: kill -9 of %s under load loses nothing and doubles nothing",
    async (service) => {
      const source = `kill-${service}`;
      const result = await underLoad(source, async () => {
        for (let kill = 0; kill < 3; kill++) {
          await sleep(400);
          const victim = mesh.process(service);
          victim.kill("SIGKILL");
          await victim.exited();
          await victim.restart();
        }
      });
      await expectWhole(source, result);
    },
    120_000,
  );

  it("INV-2: a restart of every service under load loses nothing, and each drains", async () => {
    const result = await underLoad("restart", async () => {
      for (const service of ["store", "dedup", "enricher", "gateway"]) {
        await sleep(200);
        const { logFile } = mesh.process(service);
        const drainedBefore = await countDrained(logFile);
        await mesh.process(service).restart();
        expect(await countDrained(logFile), `${service} did not drain`).toBe(drainedBefore + 1);
      }
    });
    await expectWhole("restart", result);
  }, 120_000);

  it("INV-2: a stage that is frozen past ack_wait loses nothing", async () => {
    const result = await underLoad("freeze", async () => {
      for (const service of ["enricher", "dedup", "store"]) {
        mesh.process(service).kill("SIGSTOP");
        await sleep(3_000);
        mesh.process(service).kill("SIGCONT");
      }
    });
    await expectWhole("freeze", result);
  }, 120_000);

  it("INV-2: kill -9 of PostgreSQL under load loses nothing and doubles nothing", async () => {
    const result = await underLoad("postgres", async () => {
      await sleep(400);
      const postgres = mesh.process("postgres");
      postgres.kill("SIGKILL");
      await postgres.exited();
      await postgres.restart();
    });
    mesh.books = await openBooks(mesh.endpoints.postgresUrl);
    await expectWhole("postgres", result);
  }, 120_000);
});
