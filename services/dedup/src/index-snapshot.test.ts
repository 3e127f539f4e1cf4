import { createHash } from "node:crypto";
import { mkdir, mkdtemp, readdir, readFile, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createDropLicense } from "@chowhound/shared/evidence/drop-license";
import { createFingerprintIndex, type FingerprintIndex } from "@chowhound/shared/evidence/fingerprint-index";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createIndexSnapshot, SnapshotError } from "./index-snapshot.ts";

const capacity = 3000;
const size = { capacity };

let folder: string;
let path: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "index-snapshot-"));
  path = join(folder, "index");
});
afterEach(() => rm(folder, { recursive: true }));

function fingerprint(seed: number | string): Uint8Array {
  return createHash("sha256").update(String(seed)).digest().subarray(0, 16);
}

function filledIndex(entries: number, into = createFingerprintIndex(size)): FingerprintIndex {
  for (let i = 0; i < entries; i++) into.add(fingerprint(i), 0);
  return into;
}

function batchId(n: number): string {
  return n.toString(16).padStart(32, "0");
}

const BINDING = {
  generation: "g2",
  recent: [
    { batchId: batchId(1), generation: "g1" },
    { batchId: batchId(2), generation: "g2" },
  ],
};

function boundLicense() {
  return createDropLicense({ binding: BINDING });
}

async function savedBytes(): Promise<Buffer> {
  await createIndexSnapshot(path).save(filledIndex(500), boundLicense().binding);
  return readFile(path);
}

async function loadBytes(bytes: Uint8Array) {
  await writeFile(path, bytes);
  return createIndexSnapshot(path).load(size);
}

describe("index snapshot", () => {
  it("brings back the fingerprints, the generation and the recent batches", async () => {
    const index = filledIndex(1000);
    expect(await createIndexSnapshot(path).save(index, boundLicense().binding)).toBe("saved");

    const loaded = await createIndexSnapshot(path).load(size);
    expect(loaded.binding).toEqual(BINDING);
    expect(loaded.index.size).toBe(index.size);
    for (let i = 0; i < 2000; i++) {
      expect(loaded.index.has(fingerprint(i), 0)).toBe(index.has(fingerprint(i), 0));
    }
    expect(await readdir(folder)).toEqual(["index"]);
  });

  it("brings back an index of several chunks with a full list of batches", async () => {
    const large = { capacity: 40_000 };
    const index = filledIndex(30_000, createFingerprintIndex(large));
    const license = createDropLicense();
    for (let i = 0; i < 300; i++) license.onCommitNotice("g1", batchId(i));
    await createIndexSnapshot(path).save(index, license.binding);

    const loaded = await createIndexSnapshot(path).load(large);
    expect(loaded.binding?.recent).toEqual(
      Array.from({ length: 256 }, (_, i) => ({ batchId: batchId(44 + i), generation: "g1" })),
    );
    expect(loaded.index.size).toBe(index.size);
  });

  it("starts empty without a snapshot", async () => {
    const loaded = await createIndexSnapshot(path).load(size);
    expect(loaded).toMatchObject({ reason: "there is no snapshot", index: { size: 0 } });
  });

  it("starts empty when the path cannot be read", async () => {
    const loaded = await createIndexSnapshot(folder).load(size);
    expect(loaded).toMatchObject({ reason: expect.stringContaining("EISDIR"), index: { size: 0 } });
  });

  it("ignores what an interrupted save has left, and saves over it", async () => {
    await writeFile(`${path}.tmp`, "half a snapsh");
    const snapshot = createIndexSnapshot(path);
    expect(await snapshot.load(size)).toMatchObject({ reason: "there is no snapshot" });
    const longAgo = new Date(Date.now() - 2 * 60_000);
    await utimes(`${path}.tmp`, longAgo, longAgo);
    await snapshot.save(filledIndex(5), boundLicense().binding);
    expect(await snapshot.load(size)).toMatchObject({ index: { size: 5 }, binding: { generation: "g2" } });
    expect(await readdir(folder)).toEqual(["index"]);
  });

  it("leaves a save alone that another process is at", async () => {
    await createIndexSnapshot(path).save(filledIndex(5), boundLicense().binding);
    await writeFile(`${path}.tmp`, "half a snapsh");
    expect(await createIndexSnapshot(path).save(filledIndex(9), boundLicense().binding)).toBe("busy");
    expect(await createIndexSnapshot(path).load(size)).toMatchObject({ index: { size: 5 } });
    expect(await readFile(`${path}.tmp`, "utf8")).toBe("half a snapsh");
  });

  it("starts empty from a truncated snapshot, wherever it was cut", async () => {
    const bytes = await savedBytes();
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 0, max: bytes.length - 1 }), async (length) => {
        const loaded = await loadBytes(bytes.subarray(0, length));
        expect(loaded.index.size).toBe(0);
        expect(loaded).toHaveProperty("reason", expect.stringMatching(/truncated|checksum/));
      }),
      { examples: [[0], [15], [16], [bytes.length - 1], [bytes.length - 4]] },
    );
  });

  it("starts empty from a snapshot with a flipped bit, wherever it is", async () => {
    const bytes = await savedBytes();
    await fc.assert(
      fc.asyncProperty(fc.nat(bytes.length * 8 - 1), async (bit) => {
        const damaged = Buffer.from(bytes);
        damaged[bit >> 3]! ^= 1 << (bit & 7);
        const loaded = await loadBytes(damaged);
        expect(loaded.index.size).toBe(0);
        expect(loaded.binding).toBeUndefined();
        expect(loaded).toHaveProperty("reason", expect.any(String));
      }),
      { examples: [[0], [40], [70], [100], [16 * 8], [bytes.length * 8 - 1], [bytes.length * 8 - 40]] },
    );
  });

  it("starts empty from a snapshot with bytes after its end", async () => {
    const bytes = await savedBytes();
    expect(await loadBytes(Buffer.concat([bytes, Buffer.from("x")]))).toMatchObject({
      index: { size: 0 },
      reason: expect.stringContaining("checksum"),
    });
    expect(await loadBytes(Buffer.concat([bytes, Buffer.alloc(2_000_000)]))).toMatchObject({
      index: { size: 0 },
      reason: expect.stringContaining("longer"),
    });
  });

  it("says when a snapshot is of another kind, version or capacity", async () => {
    const bytes = await savedBytes();
    const changed = (at: number) => Buffer.from(bytes).fill(0x77, at, at + 1);
    expect(await loadBytes(changed(0))).toMatchObject({ reason: "this is no snapshot" });
    expect(await loadBytes(changed(4))).toMatchObject({ reason: "the snapshot has another format version" });
    expect(await loadBytes(changed(12))).toMatchObject({
      reason: expect.stringContaining("another capacity"),
    });

    await writeFile(path, bytes);
    const loaded = await createIndexSnapshot(path).load({ capacity: capacity * 2 });
    expect(loaded).toMatchObject({ index: { size: 0 }, reason: expect.stringContaining("another capacity") });
  });

  it("saves nothing while the index is bound to nothing", async () => {
    const snapshot = createIndexSnapshot(path);
    expect(await snapshot.save(filledIndex(5), createDropLicense().binding)).toBe("unbound");
    expect(await readdir(folder)).toEqual([]);
  });

  it("abandons a save during which the index was voided, and keeps the snapshot before it", async () => {
    const snapshot = createIndexSnapshot(path);
    const license = boundLicense();
    await snapshot.save(filledIndex(5), license.binding);

    const save = snapshot.save(filledIndex(500), license.binding);
    await Promise.resolve().then(() => {}); // the save has begun
    license.onConfirmation(license.ask(), { generation: "g1", allBooked: false });
    expect(await save).toBe("abandoned");
    expect(await snapshot.load(size)).toMatchObject({ index: { size: 5 } });
    expect(await readdir(folder)).toEqual(["index"]);
  });

  it("lists the batches of every entry it has copied while the index went on taking some", async () => {
    const large = { capacity: 200_000 };
    const index = createFingerprintIndex(large);
    const license = createDropLicense({ maxRecentBatches: 1_000_000 });
    const snapshot = createIndexSnapshot(path);
    let batches = 0;
    const absorbOne = () => {
      license.onCommitNotice("g1", batchId(batches));
      for (let i = 0; i < 10; i++) index.add(fingerprint(`${batches} ${i}`), 0);
      batches++;
    };
    absorbOne();
    let saving = true;
    const save = snapshot.save(index, license.binding).finally(() => {
      saving = false;
    });
    while (saving) {
      absorbOne();
      await new Promise(setImmediate);
    }
    expect(await save).toBe("saved");

    const loaded = await snapshot.load(large);
    const listed = new Set(loaded.binding?.recent.map((batch) => batch.batchId));
    let found = 0;
    for (let batch = 0; batch < batches; batch++) {
      for (let i = 0; i < 10; i++) {
        if (!loaded.index.has(fingerprint(`${batch} ${i}`), 0)) continue;
        found++;
        expect(listed).toContain(batchId(batch));
      }
    }
    expect(found).toBe(loaded.index.size); // so no fingerprint was torn
    expect(found).toBeGreaterThan(10); // the index did change under the save
  });

  it("runs saves one after another, the last one winning", async () => {
    const snapshot = createIndexSnapshot(path);
    const license = boundLicense();
    const saves = [10, 20, 30].map((entries) => snapshot.save(filledIndex(entries), license.binding));
    expect(await Promise.all(saves)).toEqual(["saved", "saved", "saved"]);
    expect(await snapshot.load(size)).toMatchObject({ index: { size: 30 } });
  });

  it("reports a disk that refuses, and saves again when it no longer does", async () => {
    const license = boundLicense();
    const snapshot = createIndexSnapshot(join(folder, "later", "index"));
    await expect(snapshot.save(filledIndex(5), license.binding)).rejects.toThrow(SnapshotError);
    await mkdir(join(folder, "later"));
    expect(await snapshot.save(filledIndex(5), license.binding)).toBe("saved");
  });
});
