import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { open, rename, rm } from "node:fs/promises";
import { parseArgs } from "node:util";
import { TENANT_ID_PATTERN } from "@chowhound/shared/record/limits";
import { hashKey, type KeyEntry, readKeyFile } from "./keys.ts";

/**
 * Makes a key for a tenant, adds its hash to the key file (made where there is none, readable by its owner alone) and
 * returns the key: nobody can get it again. A running gateway takes it within about a second.
 */
export async function createKey(options: {
  tenant: string;
  file: string;
  /** Names the key; by default the tenant and a random part. */
  id?: string | undefined;
}): Promise<string> {
  const { tenant, file, id = `${tenant}-${randomBytes(4).toString("hex")}` } = options;
  if (!TENANT_ID_PATTERN.test(tenant))
    throw new Error(
      "a tenant has 1 to 63 lower-case letters, digits, - and _, and begins with a letter or a digit",
    );
  const key = `chow_${randomBytes(32).toString("base64url")}`;
  const draft = `${file}.new`;
  // The draft is the lock too: of two at a time, the second fails instead of undoing the first.
  const handle = await open(draft, "wx", 0o600).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") throw new Error(`the directory of ${file} does not exist`);
    if (error.code !== "EEXIST") throw error;
    throw new Error(`${draft} exists: another create-key is running, or was cut off; then remove the file`);
  });
  try {
    const keys: KeyEntry[] = existsSync(file) ? readKeyFile(file) : [];
    if (keys.some((entry) => entry.id === id))
      throw new Error(`${file} already has a key ${JSON.stringify(id)}`);
    keys.push({ id, tenant, sha256: hashKey(key) });
    await handle.writeFile(`${JSON.stringify({ keys }, null, 2)}\n`);
    await handle.sync();
    await handle.close();
    await rename(draft, file);
  } catch (error) {
    await handle.close().catch(() => {});
    await rm(draft, { force: true });
    throw error;
  }
  return key;
}

const USAGE = "usage: create-key --tenant <tenant> --file <keys.json> [--id <name of the key>]";

async function main(): Promise<void> {
  try {
    const { values } = parseArgs({
      options: {
        tenant: { type: "string" },
        file: { type: "string" },
        id: { type: "string" },
        help: { type: "boolean" },
      },
    });
    if (values.help) {
      process.stdout.write(`${USAGE}\n`);
      return;
    }
    const { tenant, file, id } = values;
    if (tenant === undefined || file === undefined) throw new Error(USAGE);
    process.stdout.write(`${await createKey({ tenant, file, id })}\n`);
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n`);
    process.exitCode = 1;
  }
}

if (import.meta.main) await main();
