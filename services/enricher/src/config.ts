import { natsSettings, stageSettings } from "@chowhound/shared/runtime/common-settings";
import { type ConfigOf, duration, integer } from "@chowhound/shared/runtime/config";

export const settings = {
  ...natsSettings,
  ...stageSettings,
  maxHeldBatches: integer("CHOWHOUND_ENRICHER_MAX_HELD_BATCHES", 1, 256, {
    doc: "messages in work at once, each of a batch; times the size of a batch, this bounds the memory",
    fallback: "32",
  }),
  lingerMs: duration("CHOWHOUND_ENRICHER_LINGER", 0, 1_000, {
    doc: "from one message to the next that isn't full, at most: small batches go on together, the more of them the busier NATS is",
    fallback: "24ms",
  }),
};

export type EnricherConfig = ConfigOf<typeof settings>;
