import { readFile } from "node:fs/promises";

/** Where the mesh of `npm start` is, and the key it made: from .chowhound/endpoints.json, or the file given. */
export async function readEndpoints(): Promise<{ grpc: string; http: string; key: string }> {
  const path = process.env.CHOWHOUND_ENDPOINTS ?? new URL("../.chowhound/endpoints.json", import.meta.url);
  try {
    return JSON.parse(await readFile(path, "utf8"));
  } catch (error) {
    console.error(`no mesh is running (${path}: ${(error as Error).message}); run \`npm start\` first`);
    process.exit(1);
  }
}
