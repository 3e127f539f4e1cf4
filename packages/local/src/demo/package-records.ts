import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import {
  type IngestionData,
  IngestionDataSchema,
} from "@chowhound/shared/contracts/chowhound/v1/ingestion_data";
import type { InstalledPackage } from "./installed-packages.ts";

const DAY_MS = 24 * 3_600_000;
/** What a late record says: it must not be in the table in the end. */
export const outdatedText = "This is what the README said before the one that is installed.";
/** What a changed record says in its manifest: it must be in the table in the end. */
export const deprecation = "the demo says so";

/** A package as a record. Its key (data_id) is left to the pipeline. */
export function packageRecord(
  { path, manifest, readme, changedMs }: InstalledPackage,
  changes: MessageInitShape<typeof IngestionDataSchema> = {},
): IngestionData {
  return create(IngestionDataSchema, {
    sourceType: "npm-package",
    sourceId: "node_modules",
    data: readme,
    metadata: manifest,
    metadataType: "package.json",
    attributes: { path },
    updatedAt: timestampFromMs(changedMs),
    ...changes,
  });
}

/** The package has changed since: newer, so it replaces the row. */
export function changedRecord(installed: InstalledPackage): IngestionData {
  return packageRecord(installed, {
    metadata: { ...installed.manifest, deprecated: deprecation },
    updatedAt: timestampFromMs(installed.changedMs + 1_000),
  });
}

/** A message that was under way for long: older, so it changes nothing, although it comes last. */
export function lateRecord(installed: InstalledPackage): IngestionData {
  return packageRecord(installed, {
    data: outdatedText,
    updatedAt: timestampFromMs(installed.changedMs - DAY_MS),
  });
}

/** Another package under the uuid of one that is stored: the row stays as it is. */
export function borrowedUuidRecord(installed: InstalledPackage, uuid: string): IngestionData {
  return packageRecord(installed, { uuid, attributes: { path: `${installed.path}-copy` } });
}

/** Records that the gateway refuses, each for another reason. */
export function recordsForNobody(installed: InstalledPackage): IngestionData[] {
  return [
    packageRecord(installed, { sourceId: "" }),
    packageRecord(installed, { updatedAt: timestampFromMs(Date.UTC(2099, 0, 1)) }),
  ];
}

/** A record that the gateway takes and the pipeline can't key: it becomes a dead letter. */
export function recordWithoutVersion({ manifest, ...installed }: InstalledPackage): IngestionData {
  const { version: _, ...incomplete } = manifest;
  return packageRecord({ ...installed, manifest: incomplete });
}
