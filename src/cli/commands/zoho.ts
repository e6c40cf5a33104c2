import { createInterface } from 'node:readline/promises';
import { orExit } from '../../config.ts';
import { openDatabase } from '../../db/database.ts';
import { explainFile, type SignatureOptions } from '../../inbox/explain-signature.ts';
import { UsageError as WrongUsage } from '../../zoho/command/clients.ts';
import { check, connect, EXIT_USAGE } from '../../zoho/command/commands.ts';
import { leftToDo, type Registration, registerWebhooks } from '../../zoho/command/register.ts';
import { type Identity, whoami } from '../../zoho/command/whoami.ts';
import { organizationsOf } from '../../zoho/organizations/organizations.ts';
import { quotaStates } from '../../zoho/quota/quota-state.ts';
import { type Command, type Context, type Result, UsageError } from '../command.ts';
import { plain } from '../output.ts';
import { databaseUrl } from './installation.ts';

const zohoConnect: Command = {
  name: 'zoho connect',
  summary: 'Exchange the grant code of a self client for a refresh token, and list the organizations',
  examples: ['tds zoho connect', 'tds zoho connect --code 1000.ab12 --token-file /etc/tds/zoho-refresh-token'],
  options: [
    ['--code <code>', 'the code; without it, it is asked for'],
    ['--dc <dc>', 'data centre; without it every one is tried'],
    ['--token-file <file>', 'write the refresh token there instead of printing it'],
  ],
  run: (context) =>
    asLines((say) => {
      const { code, dc, tokenFile } = context.options as Record<string, string | undefined>;
      return connect(context.io.config, { code, dc, tokenFile, say, ask: (question) => askFor(context, question) });
    }),
};

/** The code of a self client stands a few minutes in a window of the browser: it is pasted. */
async function askFor({ io }: Context, question: string): Promise<string> {
  if (!io.tty.in || !io.tty.err) throw new UsageError('nobody can be asked here: add --code');
  const lines = createInterface({ input: process.stdin, output: process.stderr });
  return lines.question(question).finally(() => lines.close());
}

const zohoCheck: Command = {
  name: 'zoho check',
  summary:
    'Compare workflow rules, webhooks and retry policy in Zoho Books with what should be there; exit code 1 if not',
  examples: ['tds zoho check --base https://api.example.com/tds', 'tds zoho check --modules invoice,bill'],
  options: [
    ['--base <url>', 'address of this system as Zoho reaches it'],
    ['--organization <id>', 'only this one'],
    ['--modules <list>', 'only these, separated by commas'],
  ],
  run: ({ io, options }) =>
    asLines((say) => {
      const { base, organization, modules } = options as Record<string, string | undefined>;
      return check(io.config, { url: base, organization, modules, say });
    }),
};

/** What the commands of `npm run zoho` print, and whether all is well. */
async function asLines(run: (say: (line: string) => void) => Promise<number>): Promise<Result> {
  const lines: string[] = [];
  const exitCode = await rightly(run((line) => lines.push(line)));
  const text = `${lines.join('\n')}\n`;
  return { data: { ok: exitCode === 0, lines }, text, exitCode: exitCode === EXIT_USAGE ? 2 : exitCode };
}

const zohoWhoami: Command = {
  name: 'zoho whoami',
  summary: 'Whose the token of Zoho Books is: account, data centre, organizations, scopes; exit code 1 when some lack',
  examples: ['tds zoho whoami', 'tds zoho whoami --organization 10234695 -o json'],
  options: [['--organization <id>', 'only this one']],
  async run({ io, options }) {
    const data = await rightly(whoami(io.config, options.organization as string | undefined));
    const lacks = data.some(({ reachable, missing_scopes: missing }) => !reachable || missing.length > 0);
    return { data, text: data.map(identityText).join('\n'), exitCode: lacks ? 1 : 0 };
  },
};

function identityText(identity: Identity): string {
  const { organization_id: id, account, organizations, scopes, missing_scopes: missing } = identity;
  const rows = [
    ['organization', `${id}${identity.reachable ? '' : ', which this account cannot reach: set ZOHO_ORGANIZATION_ID'}`],
    ['account', account ?? 'not told: the token may not read its user'],
    ['data centre', `${identity.data_centre} (${identity.accounts_url}, ${identity.api_url})`],
    ['reaches', organizations.map(({ id, name, timeZone }) => `${id} ${name}, ${timeZone}`).join('; ') || 'none'],
    ['scopes', scopes?.join(' ') ?? 'Zoho did not say'],
    ['lacks', missing.join(' ') || (scopes ? 'nothing that pulling needs' : 'not known')],
  ];
  return rows.map(([name = '', value = '']) => `${name.padEnd(14)}${plain(value)}\n`).join('');
}

const registerCommand: Command = {
  name: 'zoho register-webhooks',
  summary:
    'Create the workflow rules and webhooks that Zoho Books lacks, or say what to enter; exit code 1 if some is left',
  examples: [
    'tds zoho register-webhooks --base https://api.example.com/tds --dry-run',
    'tds zoho register-webhooks --base https://api.example.com/tds --modules invoice,bill --yes',
  ],
  options: [
    ['--base <url>', 'address of this system as Zoho reaches it'],
    ['--organization <id>', 'only this one'],
    ['--modules <list>', 'only these, separated by commas'],
  ],
  confirms: true,
  plans: true,
  async run(context) {
    const { base, organization, modules, dryRun } = context.options as Record<string, string | undefined>;
    const decide = async (registrations: Registration[]) => {
      if (dryRun) return false;
      const missing = registrations.flatMap(({ rules }) => rules.filter(({ state }) => state === 'missing'));
      context.say(missing.map(({ name, url }) => `${name}: ${url}`).join('\n'));
      return context.confirm(`Create these ${missing.length} workflow rules and their webhooks in Zoho Books?`);
    };
    const data = await rightly(registerWebhooks(context.io.config, { base, organization, modules }, decide));
    const left = data.flatMap(({ rules }) => rules).some(({ state }) => state === 'missing' || state === 'by hand');
    return { ...shownRegistrations(data), exitCode: left && !dryRun ? 1 : 0 };
  },
};

function shownRegistrations(data: Registration[]): Result {
  const rows = data.flatMap(({ organization_id, method, body, proof, rules }) =>
    rules.map((rule) => ({ organization_id, ...rule, method, body, proof })),
  );
  const text = data.map((registration) => {
    const { organization_id: id, proof, rules } = registration;
    const lines = rules.map(({ state, rule_type, name, url }) =>
      plain(`  ${state.padEnd(8)} ${rule_type.padEnd(9)} ${name.padEnd(38)} ${url}`),
    );
    const left = leftToDo(registration).map((words) => words.split('\n').map(plain).join('\n  '));
    const every = `Every webhook: method POST, body Default Payload, ${proof}.`;
    return [`Organization ${id}. ${every}`, ...lines, ...left, ''].join('\n');
  });
  return { data, rows, text: text.join('\n') };
}

/** Wrong words are wrong words, wherever they were noticed. */
function rightly<T>(promise: Promise<T>): Promise<T> {
  return promise.catch((error: Error) => {
    throw error instanceof WrongUsage ? new UsageError(error.message) : error;
  });
}

const zohoQuota: Command = {
  name: 'zoho quota',
  summary: 'Calls to Zoho Books: those of the last minute, and what is left of the day. Needs DATABASE_URL',
  examples: ['tds zoho quota', 'tds zoho quota -o json'],
  reads: true,
  async run(context) {
    const { db, close } = openDatabase({ url: databaseUrl(context), max: 1, applicationName: 'tds' });
    const data = await quotaStates(db).finally(close);
    const columns = [
      'organization_id',
      'calls_last_minute',
      'day_remaining',
      'day_limit',
      'day_resets_at',
      'paused_until',
    ];
    return { data, columns };
  },
};

const explainSignature: Command = {
  name: 'zoho explain-signature',
  summary: 'Verify the signature of a delivery step by step; exit code 1 when it is wrong',
  examples: ['tds zoho explain-signature --file body.json --header 5f0c6e0e --query a=1'],
  options: [
    ['--file <file>', 'the body, byte for byte as received'],
    ['--header <signature>', 'value of X-Zoho-Webhook-Signature'],
    ['--query <query>', 'what stood behind the ? of the URL'],
    ['--content-type <type>', 'default: application/json'],
    ['--organization <id>', 'the one that it is for, where ZOHO_ORGANIZATIONS_FILE names several'],
  ],
  async run({ io: { config }, options }) {
    const { file } = options;
    if (!file) throw new UsageError('which delivery? --file body.json');
    const organizations = orExit(() => organizationsOf(config));
    const explained = readable(() => explainFile(config, organizations, options as unknown as SignatureOptions));
    if (!explained) throw new Error('ZOHO_WEBHOOK_SECRET is not set: there is nothing to verify with');
    const text = explained.steps.map((step, n) => `${n + 1}. ${step}\n`).join('');
    return { data: explained, text, exitCode: explained.isRight ? 0 : 1 };
  },
};

function readable<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw new UsageError(`--file cannot be read: ${(error as Error).message}`);
  }
}

/** What concerns Zoho Books itself, on the machine that has its settings. */
export const zohoCommands = [zohoConnect, zohoCheck, zohoWhoami, registerCommand, zohoQuota, explainSignature];
