import { createHash } from "node:crypto";
import type { CsvOptions } from "./csv-record.ts";
import type { RecordDefaults } from "./encode-record.ts";
import type { Format } from "./input.ts";

/** What makes two pushes of the same files the same push: by the name of each thing, what it is; what isn't given is not in it. */
export type PushIdentity = Readonly<Record<string, string>>;

/** The key is in it as a digest only, so that the file it is kept in opens no door. */
const KEY_ITEM = "the key (SHA-256)";

export function identifyPush(push: {
  gatewayUrl: string;
  key: string;
  format: Format | undefined;
  csv: Partial<CsvOptions>;
  defaults: RecordDefaults;
}): PushIdentity {
  const { gatewayUrl, key, format, csv, defaults } = push;
  const columns = Array.from(csv.columns ?? [], ([field, column]) => `${field}=${column}`).sort();
  const items: Record<string, string | undefined> = {
    "the gateway": gatewayUrl,
    [KEY_ITEM]: createHash("sha256").update(key).digest("hex").slice(0, 16),
    "--format": format,
    "--delimiter": csv.delimiter,
    "--column": columns.length === 0 ? undefined : columns.join(" "),
    "--columns-to": csv.columnsTo,
    "--times": csv.times,
    "--source-type": defaults.texts.source_type,
    "--source-id": defaults.texts.source_id,
    "--metadata-type": defaults.texts.metadata_type,
    "--lang": defaults.texts.lang,
    "--now": defaults.updatedAt === undefined ? undefined : "given",
  };
  return Object.fromEntries(
    Object.entries(items).filter((item): item is [string, string] => item[1] !== undefined),
  );
}

/** What is not the same in both, one a line for a person; empty where they are the same push. */
export function compareIdentities(before: PushIdentity, now: PushIdentity): string[] {
  const names = new Set([...Object.keys(before), ...Object.keys(now)]);
  return [...names]
    .filter((name) => before[name] !== now[name])
    .map((name) => `${name} was ${show(before[name])} and is ${show(now[name])}`);
}

function show(value: string | undefined): string {
  return value === undefined ? "not given" : JSON.stringify(value);
}
