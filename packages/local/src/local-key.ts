import { existsSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createKey } from "@chowhound/gateway/src/create-key.ts";

/** The tenant that every local mesh has a key for. */
export const localTenant = "local";

/** The key of the tenant "local", made on the first start. `file` is the gateway's key file, `key` what producers send. */
export async function ensureLocalKey(dataDir: string): Promise<{ file: string; key: string }> {
  const file = join(dataDir, "keys.json");
  const keptIn = join(dataDir, "local.key");
  if (existsSync(file) && existsSync(keptIn)) return { file, key: (await readFile(keptIn, "utf8")).trim() };
  const key = await createKey({ tenant: localTenant, file });
  await writeFile(keptIn, `${key}\n`, { mode: 0o600 });
  return { file, key };
}
