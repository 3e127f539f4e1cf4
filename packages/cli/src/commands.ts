import type { Command } from "./command.ts";

interface Described {
  /** The name and the arguments, as yargs writes them. */
  usage: string;
  summary: string;
}

/** A command as `chow --help` shows it, and where the rest of it is. */
export type CommandEntry = Described &
  (
    | {
        /** Loaded only when it is this command's turn: `chow` has to start fast. */
        load(): Promise<{ command: Command }>;
      }
    | {
        subcommands: readonly CommandEntry[];
        /** The subcommand where none is named. */
        fallback?: string;
      }
  );

/** Every command in the order of `chow --help`. */
export const COMMANDS: readonly CommandEntry[] = [
  {
    usage: "push <file..>",
    summary: "Push records from NDJSON, JSON and CSV files, or standard input",
    load: () => import("./commands/push.ts"),
  },
  {
    usage: "status [service..]",
    summary: "Show what every process does and how far it is behind",
    load: () => import("./commands/status.ts"),
  },
  {
    usage: "top",
    summary: "Watch the mesh on one screen",
    load: () => import("./commands/top.ts"),
  },
  {
    usage: "pause <target>",
    summary: "Stop taking new work, until resume",
    load: () => import("./commands/pause.ts"),
  },
  {
    usage: "resume <target>",
    summary: "Take work again",
    load: () => import("./commands/resume.ts"),
  },
  {
    usage: "drain <target>",
    summary: "Finish what is in flight, then end the process",
    load: () => import("./commands/drain.ts"),
  },
  {
    usage: "log-level <target> <level>",
    summary: "Change how much a process logs",
    load: () => import("./commands/log-level.ts"),
  },
  {
    usage: "where <id..>",
    summary: "Say where a record is, or what became of it, by its uuid or receipt",
    load: () => import("./commands/where.ts"),
  },
  {
    usage: "get [source-type] [source-id] [data-id]",
    summary: "Show one record as it landed",
    load: () => import("./commands/get.ts"),
  },
  {
    usage: "query",
    summary: "List records as they landed, as a table, NDJSON or CSV",
    load: () => import("./commands/query.ts"),
  },
  {
    usage: "tail <service>",
    summary: "Watch records pass through a service",
    load: () => import("./commands/tail.ts"),
  },
  {
    usage: "pipelines",
    summary: "What is done to records before they are stored",
    subcommands: [
      {
        usage: "list",
        summary: "List the pipelines in force",
        load: () => import("./commands/pipelines/list.ts"),
      },
      {
        usage: "get <tenant> <source-type>",
        summary: "Show a pipeline's definition",
        load: () => import("./commands/pipelines/get.ts"),
      },
      {
        usage: "apply <file>",
        summary: "Put a pipeline in force, and show what changes",
        load: () => import("./commands/pipelines/apply.ts"),
      },
      {
        usage: "test",
        summary: "Show what a pipeline makes of sample records; nothing is stored",
        load: () => import("./commands/pipelines/test.ts"),
      },
    ],
  },
  {
    usage: "dead-letters",
    summary: "What could not be processed: look, replay, give up",
    fallback: "summary",
    subcommands: [
      {
        usage: "summary",
        summary: "Count dead letters by what they died of",
        load: () => import("./commands/dead-letters/summary.ts"),
      },
      {
        usage: "list",
        summary: "List dead letters, as a table or NDJSON",
        load: () => import("./commands/dead-letters/list.ts"),
      },
      {
        usage: "show <id>",
        summary: "Show one dead letter, with its record as it was accepted",
        load: () => import("./commands/dead-letters/show.ts"),
      },
      {
        usage: "replay [id..]",
        summary: "Send dead letters through the mesh again, and show what becomes of them",
        load: () => import("./commands/dead-letters/replay.ts"),
      },
      {
        usage: "discard [id..]",
        summary: "Give dead letters up, for good",
        load: () => import("./commands/dead-letters/discard.ts"),
      },
    ],
  },
  {
    usage: "audit",
    summary: "Prove that every accepted record became exactly one thing, or name what doesn't add up",
    fallback: "run",
    subcommands: [
      {
        usage: "run",
        summary: "Audit the books: exit code 0 closed, 1 broken, 2 stalled",
        load: () => import("./commands/audit/run.ts"),
      },
      {
        usage: "write-off <epoch> <first> [last]",
        summary: "Accept for good that numbers are missing, repeated or given out twice",
        load: () => import("./commands/audit/write-off.ts"),
      },
      {
        usage: "compact",
        summary: "Fold old invoices into sums now",
        load: () => import("./commands/audit/compact.ts"),
      },
    ],
  },
  {
    usage: "completion <shell>",
    summary: "Print a script that completes chow's commands and options",
    load: () => import("./commands/completion.ts"),
  },
];

/** The first word of a command's usage. */
export function commandName({ usage }: CommandEntry): string {
  return usage.split(" ")[0]!;
}
