/** Runs the guide's commands in bash, with real curl, jq and psql. */
import { execFile, spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';

export type Place = {
  /** Where the API really is; the guide says https://api.example.com/tds. */
  apiUrl: string;
  databaseUrl: string;
  token: string;
  /** An empty directory, for the operator's .curlrc. */
  home: string;
};

const PROGRAMS = ['bash', 'curl', 'jq', 'psql'];
const TIMEOUT_MS = 60_000;

// What cannot run here does nothing; everything else is the real program. A failing command ends the block, and an HTTP
// error is a failing command. `psql` drops the guide's connection, of which `...` stands for a part.
const PREAMBLE = `
set -euo pipefail
ssh() { :; }
systemctl() { :; }
journalctl() { :; }
pg_restore() { :; }
watch() { eval "\${@: -1}"; }
curl() { command curl --fail-with-body "$@"; }
psql() {
  local rest=()
  while [ $# -gt 0 ]; do
    case "$1" in
      -h | -U | -d) shift ;;
      ...) ;;
      *) rest+=("$1") ;;
    esac
    shift
  done
  command psql -X -P pager=off -v ON_ERROR_STOP=1 "\${rest[@]}" "$REAL_DATABASE"
}
`;

/** The programs that are missing here. */
export function missingPrograms(): string[] {
  return PROGRAMS.filter((program) => spawnSync(program, ['--version']).error);
}

/** Makes a function that runs a block of the guide and answers what it printed. Throws when a command fails. */
export function openShell(place: Place): (block: { language: string; commands: string }) => Promise<string> {
  // The line that README gives: it keeps the guide's commands unchanged.
  writeFileSync(path.join(place.home, '.curlrc'), `header = "Authorization: Bearer ${place.token}"\n`);
  const env = { PATH: process.env.PATH, HOME: place.home, CURL_HOME: place.home, REAL_DATABASE: place.databaseUrl };
  return async ({ language, commands }) => {
    const script = language === 'sql' ? `psql <<'SQL'\n${afterLogin(commands)}\nSQL\n` : commands;
    const run = promisify(execFile)('bash', ['-c', PREAMBLE + here(script, place)], { env, timeout: TIMEOUT_MS });
    return (await run).stdout;
  };
}

/** The guide's SQL blocks begin with the shell lines that open psql. */
function afterLogin(sql: string): string {
  const paragraphs = sql.split('\n\n');
  const login = paragraphs.findIndex((paragraph) => paragraph.includes('psql'));
  return paragraphs.slice(login + 1).join('\n\n');
}

function here(script: string, { apiUrl, databaseUrl }: Place): string {
  const name = /\/([^/?]+)(?:\?|$)/.exec(databaseUrl)?.[1] ?? '';
  return script.replaceAll('https://api.example.com/tds', apiUrl).replaceAll("datname = 'tds'", `datname = '${name}'`);
}
