import { expect, test } from "vitest";
import { compareIdentities, identifyPush } from "./push-identity.ts";

type Push = Parameters<typeof identifyPush>[0];

const PUSH: Push = {
  gatewayUrl: "http://127.0.0.1:1",
  key: "a-secret-key",
  format: "csv",
  csv: { delimiter: ";", columns: new Map([["data_id", "sku"]]), columnsTo: "metadata", times: "rfc3339" },
  defaults: { texts: { source_type: "note" }, updatedAt: () => "2026-01-01T00:00:00Z" },
};
const differences = (change: Partial<Push>) =>
  compareIdentities(identifyPush(PUSH), identifyPush({ ...PUSH, ...change }));

test("is the same for the same push, whenever it is made and however its columns are ordered", () => {
  expect(differences({ defaults: { ...PUSH.defaults, updatedAt: () => "2027-01-01T00:00:00Z" } })).toEqual(
    [],
  );
  const columns = [
    ["data_id", "sku"],
    ["data", "text"],
  ] as const;
  const [one, other] = [columns, columns.toReversed()].map((pairs) =>
    identifyPush({ ...PUSH, csv: { columns: new Map(pairs) } }),
  );
  expect(one).toEqual(other);
});

test.each<[string, Partial<Push>]>([
  ["the gateway", { gatewayUrl: "http://127.0.0.1:2" }],
  ["the key", { key: "another-key" }],
  ["--format", { format: undefined }],
  ["--delimiter", { csv: { ...PUSH.csv, delimiter: "," } }],
  ["--column", { csv: { ...PUSH.csv, columns: new Map([["data_id", "ean"]]) } }],
  ["--columns-to", { csv: { ...PUSH.csv, columnsTo: "attributes" } }],
  ["--times", { csv: { ...PUSH.csv, times: "epoch-millis" } }],
  ["--source-type", { defaults: { ...PUSH.defaults, texts: { source_type: "other" } } }],
  ["--source-id", { defaults: { ...PUSH.defaults, texts: { ...PUSH.defaults.texts, source_id: "x" } } }],
  [
    "--metadata-type",
    { defaults: { ...PUSH.defaults, texts: { ...PUSH.defaults.texts, metadata_type: "x" } } },
  ],
  ["--lang", { defaults: { ...PUSH.defaults, texts: { ...PUSH.defaults.texts, lang: "de" } } }],
  ["--now", { defaults: { texts: PUSH.defaults.texts } }],
])("names %s where that alone differs", (name, change) => {
  expect(differences(change)).toEqual([expect.stringMatching(`^${name} .*was .+ and is `)]);
});

test("holds no key", () => {
  expect(JSON.stringify(identifyPush(PUSH))).not.toContain(PUSH.key);
});
