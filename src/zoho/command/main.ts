/** `npm run zoho -- connect|check`: makes the connection to Zoho Books, and checks what announces its changes. */
import { createInterface } from 'node:readline/promises';
import { parseArgs } from 'node:util';
import { DATA_CENTRES } from '../../config/values.ts';
import { environmentConfig } from '../../config.ts';
import { UsageError } from './clients.ts';
import { check, connect, EXIT_MISSING, EXIT_USAGE } from './commands.ts';

const HELP = `Usage: npm run zoho -- connect [--code CODE] [--dc DC] [--token-file FILE]
       npm run zoho -- check [--url BASE] [--organization ID] [--modules LIST]

connect  exchanges the grant code of a self client (api-console.zoho.com) for a refresh token, says which scopes lack,
         and lists the organizations. Needs ZOHO_CLIENT_ID and ZOHO_CLIENT_SECRET.
           --code CODE        the code; without it, it is asked for or read from standard input
           --dc DC            ${DATA_CENTRES.join(', ')}; without it every data centre is tried
           --token-file FILE  write the refresh token there, for ZOHO_REFRESH_TOKEN_FILE, instead of printing it
check    compares workflow rules, webhooks and retry policy in Zoho with what should be there, per module.
           --url BASE         base of this system as Zoho reaches it
           --organization ID  only this one
           --modules LIST     only these, separated by commas

Examples:
  npm run zoho -- connect --code 1000.ab12 --token-file /etc/tds/zoho-refresh-token
  npm run zoho -- check --url https://api.example.com/tds --modules invoice,customerpayment

Exit codes: 0 all is well, 1 something is missing or failed, 64 wrong usage, 78 wrong configuration.
`;

const OPTIONS = {
  help: { type: 'boolean', short: 'h' },
  code: { type: 'string' },
  dc: { type: 'string' },
  'token-file': { type: 'string' },
  url: { type: 'string' },
  organization: { type: 'string' },
  modules: { type: 'string' },
} as const;

async function main(args: string[]): Promise<number> {
  const { values, positionals } = parsedArgs(args);
  const [command, ...rest] = positionals;
  if (values.help || command === undefined) {
    process.stdout.write(HELP);
    return values.help ? 0 : EXIT_USAGE;
  }
  if (rest.length > 0) throw new UsageError(`${rest[0]} is one word too many`);
  const given = { ...values, tokenFile: values['token-file'], ask, say };
  if (command === 'connect') return connect(environmentConfig(), given);
  if (command === 'check') return check(environmentConfig(), given);
  throw new UsageError(`${command} is not a command: there are connect and check`);
}

function parsedArgs(args: string[]) {
  try {
    return parseArgs({ args, options: OPTIONS, allowPositionals: true });
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

/** Asks on a terminal; without one the first line of standard input is the answer. */
async function ask(question: string): Promise<string> {
  const lines = createInterface({ input: process.stdin, output: process.stdin.isTTY ? process.stderr : undefined });
  try {
    return (await lines.question(question)).trim();
  } finally {
    lines.close();
  }
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  const { message } = error as Error;
  process.stderr.write(`${message}\n${error instanceof UsageError ? 'npm run zoho -- --help says more.\n' : ''}`);
  process.exitCode = error instanceof UsageError ? EXIT_USAGE : EXIT_MISSING;
}
