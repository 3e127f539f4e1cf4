import { natsSettings, stageSettings } from "@chowhound/shared/runtime/common-settings";
import { type ConfigOf, duration, integer, text } from "@chowhound/shared/runtime/config";

export const settings = {
  ...natsSettings,
  ...stageSettings,
  indexKeys: integer("CHOWHOUND_DEDUP_INDEX_KEYS", 1_000, 200_000_000, {
    doc: "how many committed records are remembered, at 17 bytes of memory each",
    fallback: "2000000",
  }),
  dataDir: text("CHOWHOUND_DEDUP_DATA_DIR", {
    doc: "the directory of the snapshot that lets a restart remember; `none`: it forgets",
    fallback: ".chowhound/dedup",
  }),
  snapshotIntervalMs: duration("CHOWHOUND_DEDUP_SNAPSHOT_INTERVAL", 100, 86_400_000, {
    doc: "how often the snapshot is written where something has changed; also on drain",
    fallback: "60s",
  }),
  confirmTimeoutMs: duration("CHOWHOUND_DEDUP_CONFIRM_TIMEOUT", 10, 60_000, {
    doc: "how long the store may take to confirm what it has committed; after that, records pass",
    fallback: "500ms",
  }),
  maxHeldBatches: integer("CHOWHOUND_DEDUP_MAX_HELD_BATCHES", 1, 256, {
    doc: "messages in work at once, each of a batch or several small ones; times the size of a message, this bounds the memory beside the index",
    fallback: "32",
  }),
};

export type DedupConfig = ConfigOf<typeof settings>;
