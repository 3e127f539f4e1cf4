import { defineCommand } from "../command.ts";
import { GET_COMPLETIONS } from "../complete.ts";

const SCRIPTS = {
  // Without _init_completion, which not every bash has. Candidates can be what producers wrote: they are never expanded, as
  // `compgen -W` does, and quoted, for bash puts them on the command line as they are.
  bash: `_chow() {
  local candidate
  COMPREPLY=()
  while IFS= read -r candidate; do
    if [[ $candidate == "\${COMP_WORDS[COMP_CWORD]}"* ]]; then COMPREPLY+=("$(printf %q "$candidate")"); fi
  done < <(SHELL=bash "\${1:-chow}" ${GET_COMPLETIONS} "\${COMP_WORDS[@]:0:COMP_CWORD+1}" 2>/dev/null)
}
complete -o default -F _chow chow`,
  zsh: `#compdef chow
_chow() {
  local -a candidates
  candidates=("\${(@f)$(SHELL=zsh "\${words[1]}" ${GET_COMPLETIONS} "\${(@)words[1,CURRENT]}" 2>/dev/null)}")
  if [[ -n "\${candidates[1]}" ]]; then _describe chow candidates; else _files; fi
}
if [[ "\${zsh_eval_context[-1]}" == loadautofunc ]]; then _chow "$@"; else compdef _chow chow; fi`,
} as const;

export const command = defineCommand({
  options: (yargs) =>
    yargs.positional("shell", {
      choices: ["bash", "zsh"] as const,
      demandOption: true,
      describe: "Which shell",
    }),
  examples: [
    ["source <(chow completion bash)", "Now, in bash; add it to ~/.bashrc to keep it"],
    ["source <(chow completion zsh)", "Now, in zsh, after compinit; add it to ~/.zshrc to keep it"],
  ],
  run: async ({ shell }, cli) => {
    if (cli.out.json) await cli.out.document({ shell, script: SCRIPTS[shell] });
    else await cli.out.line(SCRIPTS[shell]);
    return undefined;
  },
});
