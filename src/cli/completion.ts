import { type Command, UsageError } from './command.ts';

const SHELLS = ['bash', 'zsh', 'fish'] as const;

/** `tds completion`: a script that completes the words of all commands. */
export function completionCommand(commands: () => Command[]): Command {
  return {
    name: 'completion',
    summary: 'A script that lets a shell complete the commands of tds',
    examples: ['source <(tds completion bash)', 'tds completion fish > ~/.config/fish/completions/tds.fish'],
    args: [['<shell>', SHELLS.join(', ')]],
    async run(_context, [shell]) {
      const names = commands().map(({ name }) => name);
      if (!SHELLS.some((known) => known === shell)) throw new UsageError(`${shell} is not one of ${SHELLS.join(', ')}`);
      const script = shell === 'fish' ? fish(names) : bash(names, shell === 'zsh');
      return { data: { shell, script }, text: script };
    },
  };
}

function verbs(names: string[]): Map<string, string[]> {
  const nouns = Map.groupBy(names, (name) => name.split(' ')[0] as string);
  return new Map([...nouns].map(([noun, of]) => [noun, of.flatMap((name) => name.split(' ')[1] ?? [])]));
}

function bash(names: string[], zsh: boolean): string {
  const cases = [...verbs(names)].map(([noun, of]) => `    ${noun}) words="${of.join(' ')}" ;;`);
  return `${zsh ? 'autoload -U +X bashcompinit && bashcompinit\n' : ''}_tds() {
  local words=""
  case $COMP_CWORD in
  1) words="${[...verbs(names).keys()].join(' ')}" ;;
  2) case \${COMP_WORDS[1]} in
${cases.join('\n')}
    esac ;;
  esac
  COMPREPLY=($(compgen -W "$words" -- "\${COMP_WORDS[COMP_CWORD]}"))
}
complete -F _tds tds
`;
}

function fish(names: string[]): string {
  const of = verbs(names);
  const first = `complete -c tds -f -n __fish_use_subcommand -a '${[...of.keys()].join(' ')}'\n`;
  return [...of].reduce(
    (script, [noun, words]) =>
      `${script}complete -c tds -f -n '__fish_seen_subcommand_from ${noun}' -a '${words.join(' ')}'\n`,
    first,
  );
}
