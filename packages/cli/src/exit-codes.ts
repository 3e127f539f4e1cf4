/** How `chow` ends. Scripts rely on these: docs/cli.md lists them. */
export const EXIT = {
  /** It did what was asked. */
  ok: 0,
  /** It did not: the operation failed, or the answer is no (not found, not running, a sample rejected). */
  failed: 1,
  /** The command line is wrong; nothing was done. */
  usage: 2,
  /** The mesh can't be reached, or can't do it at the moment. Trying again can help. */
  unavailable: 3,
  /** The mesh doesn't let this key do it. */
  refused: 4,
  /** Ended by Ctrl-C (128 + SIGINT). */
  interrupted: 130,
  /** Ended by SIGTERM (128 + SIGTERM). */
  terminated: 143,
} as const;

export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/** What each exit code means, for help texts and documentation. */
export const EXIT_MEANINGS: Record<ExitCode, string> = {
  0: "done",
  1: "failed, or the answer is no: not found, not running, rejected",
  2: "the command line is wrong; nothing was done",
  3: "the mesh can't be reached or can't do it now; trying again can help",
  4: "the mesh refuses the key",
  130: "ended by Ctrl-C",
  143: "ended by SIGTERM",
};
