import type { DropLicense } from "./drop-license.ts";
import type { FingerprintIndex } from "./fingerprint-index.ts";

/** What is known to be committed, and when it may be believed. */
export interface Evidence {
  readonly index: FingerprintIndex;
  readonly license: DropLicense;
}
