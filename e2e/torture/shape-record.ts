import { createHash } from "node:crypto";
import { type KnownRecord, knownRecord, padded } from "../faults/harness/known-records.ts";

/** The uuid of one record of each tenant, which others claim as theirs. */
export const TAKEN_UUID = "0d1f3a5e-7b9c-4d2e-8f10-a2b4c6d8e0f2";

/** Its record; it has to be a row before anybody claims its uuid. */
export function ownerOfTakenUuid(): KnownRecord {
  const owner = knownRecord({ sourceType: "note", sourceId: "registry", dataId: "owner" }, 1);
  return { ...owner, init: { ...owner.init, uuid: TAKEN_UUID } };
}

type Shape = (record: KnownRecord) => KnownRecord;

/** Nobody claims another's uuid. */
export function withoutUsurpers(shape: Shape): Shape {
  return (record) => {
    const shaped = shape(record);
    return shaped.fate === "conflicts" ? record : shaped;
  };
}

/** Half of the keys bring a uuid of their own, the same in each version; one record in 400 claims one that is taken. */
export function shapeRecord(record: KnownRecord): KnownRecord {
  const digest = digestOf(`${record.key} ${record.version}`);
  if (digest.readUInt16BE() % 400 === 0) {
    const usurper = knownRecord(
      { sourceType: "note", sourceId: "usurpers", dataId: `${record.key}-${record.version}` },
      1,
      "conflicts",
    );
    return { ...usurper, init: { ...usurper.init, uuid: TAKEN_UUID } };
  }
  const own = digestOf(record.key);
  if (own[0]! % 2 === 0) return record;
  return { ...record, init: { ...record.init, uuid: uuidOf(own) } };
}

/** As above, and up to 200 KB large. */
export function shapeWithPadding(record: KnownRecord): KnownRecord {
  const shaped = shapeRecord(record);
  if (shaped.fate !== "lands") return shaped;
  const padBytes = digestOf(`size of ${record.key} ${record.version}`).readUInt32BE() % 200_000;
  const { data, metadata, ...init } = shaped.init;
  return {
    ...shaped,
    init: { ...init, data: padded(data!, padBytes), metadata: { ...metadata, padBytes } },
  };
}

function digestOf(text: string): Buffer {
  return createHash("sha1").update(text).digest();
}

/** As version 4: such a uuid tells no time. */
function uuidOf(digest: Buffer): string {
  const hex = digest.toString("hex");
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}
