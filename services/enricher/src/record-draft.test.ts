import { describe, expect, test } from "vitest";
import { RecordDraft } from "./record-draft.ts";
import { draftOf, testIdentity, testSource } from "./steps/draft-for-test.ts";
import { parseFieldPath, type WritablePath } from "./steps/field-path.ts";

const at = (text: string) => parseFieldPath(text) as WritablePath;

describe("reading", () => {
  test("finds values at paths, own keys only", () => {
    const draft = draftOf({
      data: "text",
      metadata: { a: { b: [1] }, "x.y": 0 },
      attributes: { color: "red" },
    });
    expect(draft.read(at("data"))).toBe("text");
    expect(draft.read(at("metadata.a"))).toEqual({ b: [1] });
    expect(draft.read(at("metadata.a.b"))).toEqual([1]);
    expect(draft.read(at('metadata."x.y"'))).toBe(0);
    expect(draft.read(at("metadata.a.b.0"))).toBeUndefined();
    expect(draft.read(at("metadata.toString"))).toBeUndefined();
    expect(draft.read(at("attributes.color"))).toBe("red");
    expect(draft.read(at("attributes.toString"))).toBeUndefined();
    expect(draft.read(parseFieldPath("tenant_id"))).toBe("acme");
  });

  test("gives times as RFC 3339 with microseconds", () => {
    expect(draftOf().createdAt).toBe("2023-11-14T22:13:20.123456Z");
    expect(draftOf().updatedAt).toBeUndefined();
    expect(new RecordDraft({ ...testSource, createdAtUs: -1n }).createdAt).toBe(
      "1969-12-31T23:59:59.999999Z",
    );
  });

  test("decodes a field once, and only if it is asked for", () => {
    const decoded: string[] = [];
    const decode =
      <T>(name: string, value: T) =>
      () => {
        decoded.push(name);
        return value;
      };
    const draft = new RecordDraft({
      ...testIdentity,
      dataId: decode("dataId", ""),
      data: decode("data", "d"),
      metadata: decode("metadata", {}),
      metadataType: decode("metadataType", ""),
      lang: decode("lang", ""),
      attributes: decode("attributes", {}),
    });
    draft.changes();
    expect(decoded).toEqual([]);
    draft.read(at("data"));
    draft.read(at("data"));
    draft.set("lang", "en");
    draft.changes();
    expect(decoded).toEqual(["data", "lang"]);
  });
});

describe("writing", () => {
  test("makes the objects on the way, and leaves what it was given untouched", () => {
    const metadata = { a: { keep: 1 } };
    const draft = new RecordDraft({ ...testSource, metadata: () => metadata });
    expect(draft.write(at("metadata.a.b.c"), [1])).toBe(true);
    expect(draft.changes()).toEqual({ metadata: { a: { keep: 1, b: { c: [1] } } } });
    expect(metadata).toEqual({ a: { keep: 1 } });
  });

  test.each([
    ["lang", 1],
    ["attributes.x", null],
    ["attributes", { x: 1 }],
    ["attributes", ["x"]],
    ["metadata", "text"],
    ["metadata", []],
    ["metadata.text.a", 1],
    ["metadata.list.a", 1],
  ])("%s can't take %j", (path, value) => {
    const draft = draftOf({ metadata: { text: "x", list: [] } });
    expect(draft.write(at(path), value)).toBe(false);
    expect(draft.changes()).toBeUndefined();
  });

  test("removes", () => {
    const draft = draftOf({
      data: "d",
      metadata: { a: { b: 1, c: 2 }, x: 1 },
      attributes: { k: "v", l: "w" },
    });
    for (const path of ["data", "metadata.a.b", "metadata.x", "metadata.q.r", "attributes.k"])
      draft.remove(at(path));
    expect(draft.changes()).toEqual({ data: "", metadata: { a: { c: 2 } }, attributes: { l: "w" } });
    draft.remove(at("metadata"));
    draft.remove(at("attributes"));
    expect(draft.changes()).toEqual({ data: "", metadata: {}, attributes: {} });
  });
});

describe("changes", () => {
  test("lists only what is different in the end", () => {
    const draft = draftOf({ data: "d", lang: "en", metadata: { a: 1 } });
    draft.set("data", "d");
    draft.set("lang", "de");
    draft.set("lang", "en");
    draft.write(at("metadata.a"), 2);
    draft.write(at("metadata.a"), 1);
    expect(draft.changes()).toBeUndefined();
    draft.write(at("metadata.a"), "1");
    expect(draft.changes()).toEqual({ metadata: { a: "1" } });
  });

  test("include that the raw payload is to go", () => {
    const draft = draftOf();
    draft.dropRawPayload = true;
    expect(draft.changes()).toEqual({ dropRawPayload: true });
  });
});
