import { DurabilityLevel } from "@chowhound/shared/contracts/chowhound/v1/ingestion_service";
import { connect } from "@nats-io/transport-node";
import { expect, inject, test } from "vitest";
import { askCommitDurability } from "./commit-durability.ts";

test("what a commit is worth is not known where nobody answers, or somebody else does", async () => {
  const nc = await connect({ servers: inject("natsUrl") });
  const subject = `test-${crypto.randomUUID()}`;
  const notKnown = { level: DurabilityLevel.UNKNOWN, warnings: [expect.stringContaining("not known")] };
  expect(await askCommitDurability(undefined, subject)).toMatchObject(notKnown);
  expect(await askCommitDurability(nc, subject)).toMatchObject(notKnown);
  nc.subscribe(subject, { callback: (_, message) => void message.respond("pardon?") });
  expect(await askCommitDurability(nc, subject)).toMatchObject(notKnown);
  await nc.close();
});
