import { hasCommit, oldSoftware } from "../faults/harness/old-software.ts";

/**
 * The first commit with the database's schema as it is now: an older store doesn't start on it. Moves on with the schema.
 * Its stages acknowledge each batch at once, and pack small batches, too.
 */
const OLD = "27d5eb6";

/** Which software each process of a mesh runs from its next start on. */
export interface Software {
  /** The root of a checkout; undefined: this one. */
  of(process: string): string | undefined;
  setOld(process: string): void;
  setNew(process: string): void;
  /** False: the history of this checkout doesn't reach back that far, and all is new. */
  readonly hasOld: boolean;
}

export function createSoftware(): Software {
  const hasOld = hasCommit(OLD);
  const roots = new Map<string, string>();
  return {
    hasOld,
    of: (process) => roots.get(process),
    setOld(process) {
      if (!hasOld) return;
      root ??= oldSoftware(OLD);
      roots.set(process, root);
    },
    setNew: (process) => void roots.delete(process),
  };
}

/** One copy for all meshes. */
let root: string | undefined;
