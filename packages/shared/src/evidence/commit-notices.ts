import { fromBinary } from "@bufbuild/protobuf";
import {
  type CommitNotice,
  CommitNoticeSchema,
} from "@chowhound/shared/contracts/chowhound/internal/v1/commit_notice";
import { HASH_BYTES } from "../record/content-hash.ts";
import { UUID_BYTES } from "../record/uuid.ts";
import type { Evidence } from "./evidence.ts";

/** What a notice led to; `revalidate`: it is of another database than the index, which has to be asked. */
export type NoticeOutcome = "absorbed" | "revalidate" | "malformed";

/** Takes over what the store reports committed, as far as the license permits. Must run as the notice comes in. */
export function absorbNotice(message: Uint8Array, { index, license }: Evidence): NoticeOutcome {
  const notice = decodeNotice(message);
  if (notice === undefined) return "malformed";
  const id = batchToRemember(notice);
  if (id !== undefined && license.onCommitNotice(notice.generation, id) === "revalidate") return "revalidate";
  for (const { fingerprints } of notice.batches)
    for (let at = 0; at < fingerprints.length; at += HASH_BYTES) index.add(fingerprints, at);
  return "absorbed";
}

/** A notice speaks for one transaction: each of its batches vouches for all. Undefined where there is none. */
export function batchToRemember({ batches }: CommitNotice): string | undefined {
  const [first] = batches;
  return first && Buffer.from(first.batchId).toString("hex");
}

/** Undefined where it is malformed. */
export function decodeNotice(message: Uint8Array): CommitNotice | undefined {
  let notice: CommitNotice;
  try {
    notice = fromBinary(CommitNoticeSchema, message);
  } catch {
    return undefined;
  }
  const isSound =
    notice.generation !== "" &&
    notice.batches.every(
      ({ batchId, fingerprints }) => batchId.length === UUID_BYTES && fingerprints.length % HASH_BYTES === 0,
    );
  return isSound ? notice : undefined;
}
