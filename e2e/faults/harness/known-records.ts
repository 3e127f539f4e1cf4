import { createHash, randomUUID } from "node:crypto";
import type { JsonObject, MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { IngestionDataSchema } from "@chowhound/shared/contracts/chowhound/v1/ingestion_data";
import type { Random } from "./random.ts";

/**
 * What must become of a record once it is sent: a row (or a newer one of its key), a dead letter, nothing (its uuid is taken),
 * or a refusal at the door.
 */
export type Fate = "lands" | "dies" | "conflicts" | "rejected";

/** A record that the judge knows what to expect of. */
export interface KnownRecord {
  init: MessageInitShape<typeof IngestionDataSchema>;
  fate: Fate;
  /** Its source and data_id; names its row within the tenant. */
  key: string;
  /** From 1; the greatest of a key is the row. */
  version: number;
}

export interface RecordPlace {
  sourceType: string;
  sourceId: string;
  dataId: string;
}

/** The version, and what of the content follows from it: records of one key and version are the same. */
export function knownRecord(
  place: RecordPlace,
  version: number,
  fate: Fate = "lands",
  padBytes = 0,
): KnownRecord {
  const metadata: JsonObject = { version, ...(padBytes > 0 && { padBytes }) };
  return {
    init: {
      ...place,
      data: padded(`${place.dataId} version ${version}${fate === "dies" ? " dies" : ""}`, padBytes),
      metadata,
      attributes: { version: String(version) },
      ...(fate !== "rejected" && { updatedAt: timestampFromMs(versionTimeMs(version)) }),
    },
    fate,
    key: keyOf(place),
    version,
  };
}

/** Between a text and what makes it larger. */
export const PAD_MARK = "\t";

/** The text, larger by so many characters, the same for the same text: noise, which can't be packed into less. */
export function padded(text: string, padBytes: number): string {
  if (padBytes === 0) return text;
  const noise = createHash("shake256", { outputLength: padBytes }).update(text).digest("base64url");
  return text + PAD_MARK + noise.slice(0, padBytes - 1);
}

/** The record with a uuid of its own, as a source gives it that knows its records again. */
export function withUuid(record: KnownRecord): KnownRecord {
  return { ...record, init: { ...record.init, uuid: randomUUID() } };
}

/** When a version was written, by its source's clock. */
export function versionTimeMs(version: number): number {
  return Date.UTC(2026, 0, 1) + version * 1000;
}

export function keyOf({ sourceType, sourceId, dataId }: RecordPlace): string {
  return `${sourceType}/${sourceId}/${dataId}`;
}

export interface RecordPlan {
  /** Begins its keys; plans that share it write the same keys. */
  name: string;
  /** How many keys of each of its sources. */
  keys: number;
  padBytes?: number;
  /** Changes records before they are sent; equal ones in the same way. */
  shape?: ((record: KnownRecord) => KnownRecord) | undefined;
  random: Random;
}

const SOURCES = [
  { sourceType: "note", sourceId: "notebook" },
  { sourceType: "note", sourceId: "wall" },
  { sourceType: "host-inventory", sourceId: "rack-7" },
];

const FATES: readonly Fate[] = ["rejected", "dies", ...Array<Fate>(98).fill("lands")];

/**
 * An endless supply: keys again and again, in newer versions, older ones that come late, and the same once more; the same
 * key twice in a call; one in a hundred that must be refused at the door, and one that must end as a dead letter.
 */
export function* planRecords({
  name,
  keys,
  padBytes,
  shape = (record) => record,
  random,
}: RecordPlan): Generator<KnownRecord, never> {
  const newest = new Map<string, number>();
  for (let number = 1; ; number++) {
    const source = random.pick(SOURCES);
    const fate = random.pick(FATES);
    if (fate === "rejected") {
      // Without a time.
      yield knownRecord({ ...source, dataId: `${name}-timeless-${number}` }, 1, fate);
    } else if (fate === "dies") {
      // Without data_id, and no pipeline that derives one.
      const dying = knownRecord({ ...source, dataId: `${name}-nameless-${number}` }, 1, fate);
      yield { ...dying, init: { ...dying.init, dataId: "" } };
    } else {
      const place = { ...source, dataId: `${name}-${random.below(keys)}` };
      const last = newest.get(keyOf(place)) ?? 0;
      // Mostly the next one; some skip one that comes later, some are late or come again.
      const version = Math.max(1, last + random.pick([1, 1, 1, 2, 0, -1, -2]));
      newest.set(keyOf(place), Math.max(last, version));
      yield shape(knownRecord(place, version, "lands", padBytes));
    }
  }
}
