import { readFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { UsageError } from "../cli-error.ts";
import { type AdminAddress, type MeshAddress, parseAddress, parseAdminAddresses } from "./mesh-address.ts";

/** The global options that say which mesh is meant. */
export interface MeshFlags {
  gateway?: string | undefined;
  key?: string | undefined;
  keyFile?: string | undefined;
  admin?: readonly string[] | undefined;
  mesh?: string | undefined;
}

/** Where `npm start` notes how its mesh is reached, in the directory it was started in. */
export const ENDPOINTS_FILE = join(".chowhound", "endpoints.json");

/**
 * Collects how the mesh is reached. Each item comes from the first that has it: flags, `--mesh FILE`, the environment. A mesh
 * started with `npm start` in `cwd` or above it is taken only where none of these names an address: else its key would be
 * sent to somebody else's gateway.
 *
 * @throws {UsageError} where what is given makes no sense or a named file can't be read
 */
export async function findMesh(
  flags: MeshFlags,
  env: Readonly<Record<string, string | undefined>>,
  cwd: string,
): Promise<MeshAddress> {
  const fromFlags = await readFlags(flags, cwd);
  const fromFile = flags.mesh === undefined ? {} : await readEndpoints(resolve(cwd, flags.mesh));
  const fromEnv = await readEnv(env, cwd);
  const named: MeshAddress = { ...fromEnv, ...fromFile, ...fromFlags };
  if (named.gateway !== undefined || named.admin !== undefined) return named;
  return { ...(await discoverEndpoints(cwd)), ...named };
}

async function readFlags(flags: MeshFlags, cwd: string): Promise<MeshAddress> {
  const address: MeshAddress = {};
  if (flags.gateway !== undefined)
    address.gateway = { value: parseAddress(flags.gateway, "--gateway"), from: "--gateway" };
  if (flags.keyFile !== undefined)
    address.key = { value: await readKey(resolve(cwd, flags.keyFile), "--key-file"), from: "--key-file" };
  if (flags.key !== undefined) address.key = { value: checkKey(flags.key, "--key"), from: "--key" };
  if (flags.admin !== undefined && flags.admin.length > 0)
    address.admin = {
      value: flags.admin.flatMap((text) => parseAdminAddresses(text, "--admin")),
      from: "--admin",
    };
  return address;
}

async function readEnv(env: Readonly<Record<string, string | undefined>>, cwd: string): Promise<MeshAddress> {
  const address: MeshAddress = {};
  const { CHOWHOUND_GATEWAY, CHOWHOUND_KEY_FILE, CHOWHOUND_KEY, CHOWHOUND_ADMIN } = env;
  if (CHOWHOUND_GATEWAY)
    address.gateway = {
      value: parseAddress(CHOWHOUND_GATEWAY, "CHOWHOUND_GATEWAY"),
      from: "CHOWHOUND_GATEWAY",
    };
  if (CHOWHOUND_KEY) address.key = { value: checkKey(CHOWHOUND_KEY, "CHOWHOUND_KEY"), from: "CHOWHOUND_KEY" };
  else if (CHOWHOUND_KEY_FILE)
    address.key = {
      value: await readKey(resolve(cwd, CHOWHOUND_KEY_FILE), "CHOWHOUND_KEY_FILE"),
      from: "CHOWHOUND_KEY_FILE",
    };
  if (CHOWHOUND_ADMIN)
    address.admin = {
      value: parseAdminAddresses(CHOWHOUND_ADMIN, "CHOWHOUND_ADMIN"),
      from: "CHOWHOUND_ADMIN",
    };
  return address;
}

/** The endpoints file of the nearest directory that has one. */
async function discoverEndpoints(cwd: string): Promise<MeshAddress> {
  for (let directory = resolve(cwd); ; directory = dirname(directory)) {
    try {
      return await readEndpoints(join(directory, ENDPOINTS_FILE));
    } catch (error) {
      if (!(error instanceof UsageError) || !isMissing(error.cause)) throw error;
    }
    if (directory === dirname(directory)) return {};
  }
}

async function readEndpoints(path: string): Promise<MeshAddress> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (cause) {
    throw new UsageError(`can't read ${path}: ${(cause as Error).message}`, { cause });
  }
  try {
    const { grpc, key, admin } = JSON.parse(text) as {
      grpc?: string;
      key?: string;
      admin?: Record<string, string>;
    };
    const address: MeshAddress = {};
    if (grpc !== undefined) address.gateway = { value: parseAddress(grpc, path), from: path };
    if (key !== undefined) address.key = { value: checkKey(key, path), from: path };
    if (admin !== undefined)
      address.admin = {
        value: Object.entries(admin).map(([name, host]) => adminOfProcess(name, host, path)),
        from: path,
      };
    return address;
  } catch (cause) {
    if (cause instanceof UsageError) throw cause;
    throw new UsageError(`${path} does not hold the endpoints of a mesh: ${(cause as Error).message}`, {
      cause,
    });
  }
}

/** A local mesh calls the replicas of a service "store", "store-2", "store-3". */
function adminOfProcess(name: string, address: string, path: string): AdminAddress {
  return { service: name.replace(/-\d+$/, ""), url: parseAddress(address, path) };
}

async function readKey(path: string, from: string): Promise<string> {
  try {
    return checkKey((await readFile(path, "utf8")).trim(), from);
  } catch (cause) {
    if (cause instanceof UsageError) throw cause;
    throw new UsageError(`${from}: can't read the key: ${(cause as Error).message}`, { cause });
  }
}

/** A key travels in a header. */
function checkKey(key: string, from: string): string {
  if (/^[\x21-\x7e]+$/.test(key)) return key;
  throw new UsageError(`${from}: this is not a key: it is empty, or has blanks or other unusual characters`);
}

function isMissing(error: unknown): boolean {
  const { code } = (error ?? {}) as NodeJS.ErrnoException;
  return code === "ENOENT" || code === "ENOTDIR" || code === "EACCES";
}
