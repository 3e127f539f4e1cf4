/** What orders the records of one key: the same tuple, compared the same way, as in the database. */
export interface Order {
  versionUs: bigint;
  /** 16 bytes, compared bytewise. */
  contentHash: Uint8Array;
  pipelineVersion: bigint;
}

/** Negative: a is smaller; positive: a is greater; 0: equal. */
export function compareOrder(a: Order, b: Order): number {
  if (a.versionUs !== b.versionUs) return a.versionUs < b.versionUs ? -1 : 1;
  const content = Buffer.compare(a.contentHash, b.contentHash);
  if (content !== 0) return content;
  if (a.pipelineVersion === b.pipelineVersion) return 0;
  return a.pipelineVersion < b.pipelineVersion ? -1 : 1;
}

/** The same content, processed by the same pipeline version: replacing one by the other changes nothing but times. */
export function isSameResult(a: Order, b: Order): boolean {
  return a.pipelineVersion === b.pipelineVersion && Buffer.compare(a.contentHash, b.contentHash) === 0;
}
