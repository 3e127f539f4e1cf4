import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { isRunning } from "./process-start.ts";
import { noteProcess, type ProcessNote, stopProcess } from "./stop-process.ts";

/** Another living process already runs a server on this data directory. */
export class DataDirInUseError extends Error {
  override readonly name = "DataDirInUseError";
  readonly pidFile: string;
  readonly pid: number;

  constructor(what: string, pidFile: string, pid: number) {
    super(
      `${what} already runs on this data directory, for process ${pid} (if that is wrong, remove ${pidFile})`,
    );
    this.pidFile = pidFile;
    this.pid = pid;
  }
}

/** The right of this process to run the one server of a data directory. */
export interface DataDirClaim {
  /** Notes the server's pid, so that a later start can find the server if we are killed. */
  noteServer(pid: number): void;
  release(): void;
}

interface PidFile {
  owner: ProcessNote;
  server?: ProcessNote;
}

/**
 * Claims a data directory through a pid file. A server left running by an owner that was killed is stopped
 * first: two servers on one directory would destroy it.
 *
 * @throws {DataDirInUseError} if the owner of the claim still lives
 */
export async function claimDataDir(options: {
  what: string;
  pidFile: string;
  stopSignal: NodeJS.Signals;
  log: (line: string) => void;
}): Promise<DataDirClaim> {
  const { what, pidFile } = options;
  const owner = noteProcess(process.pid);
  mkdirSync(dirname(pidFile), { recursive: true });

  while (!create(pidFile, { owner })) {
    const found = read(pidFile);
    if (found && isRunning(found.owner.pid, found.owner.start)) {
      throw new DataDirInUseError(what, pidFile, found.owner.pid);
    }
    if (found?.server && isRunning(found.server.pid, found.server.start)) {
      // Without a start time it could be a stranger with the same pid: not ours to stop.
      if (found.server.start === undefined) throw new DataDirInUseError(what, pidFile, found.server.pid);
      options.log(`stopping ${what} (pid ${found.server.pid}), left running by a process that was killed`);
      await stopProcess(found.server, options.stopSignal);
      // Somebody else may have claimed it meanwhile.
      continue;
    }
    rmSync(pidFile, { force: true });
  }

  return {
    noteServer(pid) {
      const draft = `${pidFile}.${process.pid}`;
      writeFileSync(draft, JSON.stringify({ owner, server: noteProcess(pid) } satisfies PidFile));
      renameSync(draft, pidFile);
    },
    release() {
      rmSync(pidFile, { force: true });
    },
  };
}

function create(pidFile: string, content: PidFile): boolean {
  try {
    writeFileSync(pidFile, JSON.stringify(content), { flag: "wx" });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  }
}

/** Undefined if there is no such file, or only half of one (its writer was killed). */
function read(pidFile: string): PidFile | undefined {
  try {
    return JSON.parse(readFileSync(pidFile, "utf8"));
  } catch {
    return undefined;
  }
}
