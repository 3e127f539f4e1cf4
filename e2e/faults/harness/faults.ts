import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { createGrpcClient } from "@chowhound/local/grpc-client";
import { AdminService } from "@chowhound/shared/contracts/chowhound/v1/admin_service";
import type { FaultMesh, ServerName } from "./fault-mesh.ts";
import type { Hold, Moment } from "./fault-proxy.ts";
import type { Direction } from "./frames.ts";
import type { Journal } from "./journal.ts";
import { waitUntil } from "./patience.ts";

/** Everything bad that can be done to the processes and connections of a mesh, each on its own; all are noted in the journal. */
export interface Faults {
  /** kill -9, and waits for the end. */
  kill(process: string): Promise<void>;
  /**
   * The same with all of PostgreSQL's processes at once: killed alone, the first one leaves the sessions to finish what they are
   * at. Only where there is /proc.
   */
  killWithSessions(): Promise<void>;
  /** Starts what was killed, and waits until it is ready. */
  start(process: string): Promise<void>;
  /** `kill`, then `start`. */
  crash(process: string): Promise<void>;
  /** An orderly stop, then a start. */
  restart(process: string): Promise<void>;
  /** SIGSTOP: it stands still, and its connections stay open. */
  freeze(process: string): void;
  /** SIGCONT. */
  thaw(process: string): void;
  /** Has a service take no more work, by its AdminService. */
  pause(service: string): Promise<void>;
  resume(service: string): Promise<void>;
  /** Resets the connections between a service and a server. */
  cut(process: string, server: ServerName): void;
  /** Resets them, and each new one until `heal`. */
  cutOff(process: string, server: ServerName): void;
  /** What is sent on them is lost from now on, and neither side is told. */
  halfOpen(process: string, server: ServerName, direction?: Direction): void;
  /** Everything between them takes this much longer, until `heal`. */
  delay(process: string, server: ServerName, ms: number): void;
  heal(process: string, server: ServerName): void;
  /** Stops a conversation at a moment, until it is released; resolves when the moment has come. */
  holdAt(process: string, moment: Moment): Promise<Hold>;
  /** The same where the moment comes within that time, with whichever server of a cluster; undefined: it didn't, and nothing is held. */
  holdAtWithin(process: string, moment: Moment, withinMs: number): Promise<Hold | undefined>;
  /** kill -9 at exactly that moment of the process's work. */
  killAt(process: string, moment: Moment): Promise<void>;
  /** The same where the moment comes within that time; false: it didn't, and nothing was done. */
  killAtWithin(process: string, moment: Moment, withinMs: number): Promise<boolean>;
}

export function createFaults(mesh: FaultMesh, journal: Journal): Faults {
  const admin = async (name: string, method: "pause" | "resume"): Promise<void> => {
    const client = createGrpcClient(AdminService, mesh.endpoints.admin[name]!);
    try {
      await client.calls[method]({});
    } finally {
      client.close();
    }
  };
  const kill = async (name: string): Promise<void> => {
    const process = mesh.process(name);
    process.kill("SIGKILL");
    await process.exited();
  };
  const hold = async (name: string, moment: Moment): Promise<Hold> => {
    const held = mesh.link(name, moment.server).hold(moment);
    let isReached = false;
    void held.reached.then(() => {
      isReached = true;
    });
    try {
      await waitUntil(`${name} is held ${moment.what}`, {
        isDone: async () => isReached,
        progress: async () => mesh.ledger.calls,
        pollMs: 2,
      });
    } catch (error) {
      held.release();
      throw error;
    }
    return held;
  };
  const holdWithin = async (name: string, moment: Moment, withinMs: number): Promise<Hold | undefined> => {
    const servers = moment.server === "nats" ? mesh.natsServers : [moment.server];
    const armed = servers.map((server) => mesh.link(name, server).hold(moment));
    const reached = await Promise.race([
      ...armed.map((hold) => hold.reached.then(() => hold)),
      sleep(withinMs, undefined),
    ]);
    for (const hold of armed) if (hold !== reached) hold.release();
    return reached;
  };

  return {
    async kill(process) {
      journal.fault(`kill -9 ${process}`);
      await kill(process);
    },
    async killWithSessions() {
      journal.fault("kill -9 postgres with its sessions");
      const postgres = mesh.process("postgres");
      const children = childrenOf(postgres.pid!);
      postgres.kill("SIGKILL");
      for (const pid of children) killIfThere(pid);
      await postgres.exited();
    },
    async start(process) {
      await mesh.process(process).restart();
      journal.note(`${process} is back`);
    },
    async crash(process) {
      await this.kill(process);
      await this.start(process);
    },
    async restart(process) {
      journal.fault(`restart ${process}`);
      await mesh.process(process).restart();
      journal.note(`${process} is back`);
    },
    freeze(process) {
      journal.fault(`SIGSTOP ${process}`);
      mesh.process(process).kill("SIGSTOP");
    },
    thaw(process) {
      journal.note(`SIGCONT ${process}`);
      mesh.process(process).kill("SIGCONT");
    },
    async pause(service) {
      journal.fault(`pause ${service}`);
      await admin(service, "pause");
    },
    async resume(service) {
      journal.note(`resume ${service}`);
      await admin(service, "resume");
    },
    cut(process, server) {
      journal.fault(`cut ${process} from ${server} (RST)`);
      mesh.link(process, server).cut();
    },
    cutOff(process, server) {
      journal.fault(`cut ${process} off from ${server}`);
      mesh.link(process, server).cutOff();
    },
    halfOpen(process, server, direction) {
      journal.fault(`half-open ${process} to ${server}${direction === undefined ? "" : `, ${direction}`}`);
      mesh.link(process, server).halfOpen(direction);
    },
    delay(process, server, ms) {
      journal.fault(`delay ${process} to ${server} by ${ms} ms`);
      mesh.link(process, server).delay(ms);
    },
    heal(process, server) {
      journal.note(`heal ${process} to ${server}`);
      mesh.link(process, server).heal();
    },
    async holdAt(process, moment) {
      const held = await hold(process, moment);
      journal.fault(`hold ${process} ${moment.what}`);
      return held;
    },
    async killAt(process, moment) {
      await hold(process, moment);
      journal.fault(`kill -9 ${process} ${moment.what}`);
      await kill(process);
    },
    async holdAtWithin(process, moment, withinMs) {
      const held = await holdWithin(process, moment, withinMs);
      if (held !== undefined) journal.fault(`hold ${process} ${moment.what}`);
      return held;
    },
    async killAtWithin(process, moment, withinMs) {
      const held = await holdWithin(process, moment, withinMs);
      if (held === undefined) return false;
      journal.fault(`kill -9 ${process} ${moment.what}`);
      await kill(process);
      return true;
    },
  };
}

/** At once: whoever asks is about to kill them in the midst of something. */
function childrenOf(parent: number): number[] {
  const children = readFileSync(`/proc/${parent}/task/${parent}/children`, "utf8");
  return children.trim().split(" ").map(Number);
}

function killIfThere(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}
