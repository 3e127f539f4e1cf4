import { setTimeout as sleep } from "node:timers/promises";
import { DurabilityLevel } from "@chowhound/shared/contracts/chowhound/v1/ingestion_service";
import { createLogger } from "@chowhound/shared/runtime/logger";
import { Tap } from "@chowhound/shared/tap/tap";
import { Meter } from "@chowhound/shared/telemetry/meter";
import { expect, it } from "vitest";
import { createAccept } from "./accept.ts";
import { InFlightBytes } from "./in-flight-bytes.ts";
import { createServe } from "./serve-call.ts";

const meter = new Meter("gateway");
const accept = createAccept({
  serve: createServe({ authenticate: (key) => key, meter, log: createLogger("gateway", "error") }),
  assertOpen: () => {},
  inFlight: new InFlightBytes(1_000, 1_000),
  arriving: new InFlightBytes(150, 100),
  look: () => undefined,
  submit: async () => 0,
  maxRecordBytes: () => 1_000,
  durability: () => DurabilityLevel.SYNCED,
  meter,
  tap: new Tap(),
});

/** A call whose message arrives when it is let go; it holds no records. */
function slowCall(authorization: string, arrivingBytes: number) {
  const arrived = Promise.withResolvers<void>();
  let isReading = false;
  const records = async () => {
    isReading = true;
    await arrived.promise;
    return [];
  };
  const answered = accept({ authorization, arrivingBytes, records });
  answered.catch(() => {});
  return { answered, arrive: arrived.resolve, isReading: () => isReading };
}

it("reads no more at a time than there is room for, of a tenant and of all", async () => {
  const first = slowCall("acme", 80);
  const second = slowCall("acme", 80);
  const other = slowCall("umbrella", 60);
  const third = slowCall("initech", 60);
  await sleep(20);
  expect([first, second, other, third].map((call) => call.isReading())).toEqual([true, false, true, false]);
  first.arrive();
  await expect(first.answered).rejects.toMatchObject({ reason: "empty_batch" });
  await sleep(20);
  expect([second.isReading(), third.isReading()]).toEqual([true, false]);
  for (const call of [second, other, third]) call.arrive();
  for (const call of [second, other, third])
    await expect(call.answered).rejects.toMatchObject({ reason: "empty_batch" });
});

it("reads a message that is larger than all of a tenant's room alone", async () => {
  const large = slowCall("acme", 10_000);
  const small = slowCall("acme", 1);
  await sleep(20);
  expect([large.isReading(), small.isReading()]).toEqual([true, false]);
  large.arrive();
  small.arrive();
  await expect(small.answered).rejects.toMatchObject({ reason: "empty_batch" });
});
