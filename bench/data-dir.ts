import { chmod, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { removePostgresData } from "@chowhound/local/postgres";

/** A temporary directory for servers, with PostgreSQL's data in `postgres`; gone when it is disposed of. */
export async function openDataDir(): Promise<AsyncDisposable & { path: string }> {
  const path = await mkdtemp(join(tmpdir(), "chowhound-bench-"));
  // PostgreSQL may have to run as another user, who has to get through.
  await chmod(path, 0o711);
  return {
    path,
    [Symbol.asyncDispose]: async () => {
      await removePostgresData(join(path, "postgres"));
      await rm(path, { recursive: true, force: true });
    },
  };
}
