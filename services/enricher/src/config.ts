import { natsSettings, stageSettings } from "@chowhound/shared/runtime/common-settings";
import { type ConfigOf, integer } from "@chowhound/shared/runtime/config";

export const settings = {
  ...natsSettings,
  ...stageSettings,
  maxHeldBatches: integer("CHOWHOUND_ENRICHER_MAX_HELD_BATCHES", 1, 256, {
    doc: "batches in work at once; times the size of a batch, this bounds the memory",
    fallback: "32",
  }),
};

export type EnricherConfig = ConfigOf<typeof settings>;
