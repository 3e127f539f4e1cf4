import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { CommitNoticeSchema } from "@chowhound/shared/contracts/chowhound/internal/v1/commit_notice";
import { describe, expect, it } from "vitest";
import { absorbNotice } from "./commit-notices.ts";
import { createDropLicense } from "./drop-license.ts";
import { createFingerprintIndex } from "./fingerprint-index.ts";

const fingerprints = Buffer.from("a".repeat(16) + "b".repeat(16));
const batch = { batchId: Buffer.alloc(16, 1), fingerprints };

function evidence() {
  return { index: createFingerprintIndex({ capacity: 1_000 }), license: createDropLicense() };
}

function notice(of: MessageInitShape<typeof CommitNoticeSchema>): Uint8Array {
  return toBinary(CommitNoticeSchema, create(CommitNoticeSchema, of));
}

describe("commit notices", () => {
  it("move a batch's fingerprints into the index", () => {
    const { index, license } = evidence();
    const outcome = absorbNotice(notice({ generation: "g1", batches: [batch] }), { index, license });
    expect(outcome).toBe("absorbed");
    expect([index.has(fingerprints, 0), index.has(fingerprints, 16), index.size]).toEqual([true, true, 2]);
    expect(license.binding()).toMatchObject({
      generation: "g1",
      recent: [{ batchId: "01".repeat(16), generation: "g1" }],
    });
  });

  it("of another generation add nothing", () => {
    const { index, license } = evidence();
    license.onCommitNotice("g0", "00");
    const outcome = absorbNotice(notice({ generation: "g1", batches: [batch] }), { index, license });
    expect(outcome).toBe("revalidate");
    expect(index.size).toBe(0);
  });

  it.each([
    ["no message", Buffer.from([0xff])],
    ["no generation", notice({ batches: [batch] })],
    [
      "a cut batch id",
      notice({ generation: "g1", batches: [batch, { ...batch, batchId: Buffer.alloc(15) }] }),
    ],
    [
      "a cut fingerprint",
      notice({ generation: "g1", batches: [{ ...batch, fingerprints: Buffer.alloc(17) }] }),
    ],
  ])("that are malformed add nothing: %s", (_, message) => {
    const { index, license } = evidence();
    expect(absorbNotice(message, { index, license })).toBe("malformed");
    expect(index.size).toBe(0);
    expect(license.binding()).toBeUndefined();
  });
});
