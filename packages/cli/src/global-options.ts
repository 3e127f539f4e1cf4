import type { Options } from "yargs";

const MESH = "Which mesh (else the one that `npm start` runs here):";
/** The group of what is the same everywhere, in help texts. */
export const GENERAL = "General:";

/** Options of every command. */
export const globalOptions = {
  gateway: {
    group: MESH,
    type: "string",
    requiresArg: true,
    describe: "The gateway's gRPC door, HOST:PORT or URL [env: CHOWHOUND_GATEWAY]",
  },
  "key-file": {
    group: MESH,
    type: "string",
    requiresArg: true,
    describe: "File with the tenant's key [env: CHOWHOUND_KEY_FILE]",
  },
  key: {
    group: MESH,
    type: "string",
    requiresArg: true,
    describe: "The key itself; other users of the machine can see it [env: CHOWHOUND_KEY]",
  },
  admin: {
    group: MESH,
    type: "string",
    array: true,
    requiresArg: true,
    describe: "Admin ports, SERVICE=HOST:PORT[,…]; repeatable [env: CHOWHOUND_ADMIN]",
  },
  mesh: {
    group: MESH,
    type: "string",
    requiresArg: true,
    describe: "File with all of this, such as .chowhound/endpoints.json",
  },
  json: {
    group: GENERAL,
    type: "boolean",
    describe: "Answer as JSON: one document, or one per line for streams",
  },
} as const satisfies Record<string, Options>;
