import { create } from "@bufbuild/protobuf";
import {
  GetStatusResponseSchema,
  ServiceState,
} from "@chowhound/shared/contracts/chowhound/v1/admin_service";
import { expect, test } from "vitest";
import type { AdminProcess } from "../mesh/mesh.ts";
import { watchMesh } from "./watch-mesh.ts";

const OFTEN = { everyMs: 5, findEveryMs: 20 };

function processOf(instanceId: string): AdminProcess {
  const status = create(GetStatusResponseSchema, {
    service: "store",
    instanceId,
    state: ServiceState.RUNNING,
  });
  return {
    service: "store",
    address: instanceId,
    client: () => ({ getStatus: async () => status }),
  } as never;
}

/** Watches until so many processes are seen. */
async function watchUntil(count: number, find: () => Promise<AdminProcess[]>): Promise<number[]> {
  const end = new AbortController();
  const seen: number[] = [];
  for await (const { processes } of watchMesh(find, end.signal, OFTEN)) {
    seen.push(processes.length);
    if (processes.length === count || seen.length > 200) end.abort();
  }
  return seen;
}

test("sees replicas that come and go", async () => {
  const sets = [["a"], ["a", "b", "c"], ["b"]];
  let finds = 0;
  const find = async () => (sets[finds++] ?? sets.at(-1)!).map(processOf);
  expect([...new Set(await watchUntil(3, find))]).toEqual([1, 3]);
  finds = 1;
  expect([...new Set(await watchUntil(1, find))]).toEqual([3, 1]);
});

test("stays at those found last while they can't be looked up, and fails where there never were any", async () => {
  let finds = 0;
  const find = async () => {
    if (++finds % 2 === 0) throw new Error("no name server");
    return finds > 4 ? [processOf("a"), processOf("b")] : [processOf("a")];
  };
  expect([...new Set(await watchUntil(2, find))]).toEqual([1, 2]);
  await expect(
    watchUntil(1, async () => {
      throw new Error("no mesh");
    }),
  ).rejects.toThrow("no mesh");
});
