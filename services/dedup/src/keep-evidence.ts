import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { createDropLicense } from "@chowhound/shared/evidence/drop-license";
import type { Evidence } from "@chowhound/shared/evidence/evidence";
import { createFingerprintIndex } from "@chowhound/shared/evidence/fingerprint-index";
import type { Logger } from "@chowhound/shared/runtime/logger";
import { createIndexSnapshot } from "./index-snapshot.ts";

/** Evidence that outlives the process, as far as the disk allows: trouble with it is logged, never thrown. */
export interface KeptEvidence extends Evidence {
  /** Stops saving on the interval and saves a last time. */
  close(): Promise<void>;
}

export interface KeepEvidenceOptions {
  /** Created where it is missing; undefined: nothing is read or saved. */
  dataDir: string | undefined;
  /** Names the file, so that several meshes can share a directory. */
  name: string;
  /** How many fingerprints the index has room for. */
  capacity: number;
  intervalMs: number;
  log: Logger;
}

/** Reads the evidence back and from then on saves it on the interval, when it has changed. */
export async function keepEvidence(options: KeepEvidenceOptions): Promise<KeptEvidence> {
  const { dataDir, capacity, log } = options;
  if (dataDir === undefined) {
    return {
      index: createFingerprintIndex({ capacity }),
      license: createDropLicense(),
      close: async () => {},
    };
  }
  const path = join(dataDir, `${options.name}.fingerprints`);
  await mkdir(dataDir, { recursive: true }).catch((error: Error) =>
    log.warn({ why: error.message }, "no directory for the snapshot of the index"),
  );
  const snapshot = createIndexSnapshot(path);
  const { index, ...loaded } = await snapshot.load({ capacity });
  const license = createDropLicense({ binding: loaded.binding });
  if ("reason" in loaded) log.info({ path, why: loaded.reason }, "starting with an empty index");
  else log.info({ path, fingerprints: index.size }, "read the index back");

  // What the license counts tells whether anything has changed.
  const state = (): string => {
    const { serial, absorbed } = license.ask();
    return `${serial} ${absorbed}`;
  };
  let savedState = state();
  const save = async (): Promise<void> => {
    const stateBefore = state();
    if (stateBefore === savedState) return;
    try {
      const outcome = await snapshot.save(index, license.binding);
      log.debug({ path, outcome }, "saving the index");
      if (outcome === "saved") savedState = stateBefore;
    } catch (error) {
      log.warn({ err: error }, "going on without saving the index");
    }
  };
  const timer = setInterval(() => void save(), options.intervalMs);
  return {
    index,
    license,
    close: async () => {
      clearInterval(timer);
      await save();
    },
  };
}
