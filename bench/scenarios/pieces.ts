import { measurePieces } from "../measure-pieces.ts";
import { enricherPieces } from "../pieces/enricher.ts";
import { gatewayPieces } from "../pieces/gateway.ts";
import { metadataPieces } from "../pieces/metadata.ts";
import type { Scenario } from "../scenario.ts";

const RUNS = { full: 50, quick: 5 };

/** What parts of the services' work cost, without sockets, streams or a database. */
export const pieces: Scenario = {
  name: "pieces",
  isUsual: true,
  about: "no mesh: what parts of the services' work cost, in one process; --rounds says how often",
  run: async ({ quick, signal, rounds = quick ? RUNS.quick : RUNS.full }) => {
    const groups = { gateway: gatewayPieces(), pipeline: enricherPieces(), metadata: metadataPieces() };
    const tables = [];
    for (const [name, pieces] of Object.entries(groups))
      tables.push(await measurePieces(name, pieces, rounds, signal));
    return { tables, rounds: [] };
  },
};
