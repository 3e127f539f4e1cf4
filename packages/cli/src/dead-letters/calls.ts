import { DeadLetterService } from "@chowhound/shared/contracts/chowhound/v1/dead_letter_service";
import type { Client } from "@connectrpc/connect";
import { callAnyProcess } from "../mesh/any-process.ts";
import type { Mesh } from "../mesh/mesh.ts";

/** Calls the DeadLetterService of the first store that answers. A call that breaks off may be made again at another one. */
export type CallDeadLetters = <T>(
  call: (client: Client<typeof DeadLetterService>) => Promise<T>,
) => Promise<T>;

export async function openDeadLetters(mesh: Mesh): Promise<CallDeadLetters> {
  const stores = await mesh.processes(["store"]);
  return (call) => callAnyProcess(stores, (store) => call(store.client(DeadLetterService)));
}
