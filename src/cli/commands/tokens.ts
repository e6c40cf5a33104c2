import { type Command, UsageError } from '../command.ts';
import { readNumber } from '../since.ts';
import { uuid } from './events.ts';

const ROLES = ['viewer', 'operator', 'admin'];

const create: Command = {
  name: 'token create',
  summary: 'Make a token for an operator. It is shown once and never again',
  examples: ['tds token create anna --role operator --days 90', 'tds token create monitoring -o json | jq -r .token'],
  args: [['<name>', 'who gets it, as the audit log will call him']],
  options: [
    ['--role <role>', `${ROLES.join(', ')} (default: viewer)`],
    ['--days <n>', 'until it expires (default: 365)'],
  ],
  async run({ api, options, say }, [name = '']) {
    const role = (options.role as string) ?? 'viewer';
    if (!ROLES.includes(role)) throw new UsageError(`--role is one of ${ROLES.join(', ')}`);
    const days = readNumber('days', (options.days as string) ?? '365', 1, 3650);
    const data = (await (await api()).post('/dashboard/tokens', {}, { name, role, days })) as { token: string };
    say('Keep it now: only its hash is stored.');
    return { data, text: `${data.token}\n` };
  },
};

const list: Command = {
  name: 'token list',
  summary: 'Stored tokens, the latest first; those of OPERATOR_TOKENS stand in that setting',
  examples: ['tds token list', 'tds token list -o csv'],
  reads: true,
  run: async ({ api }) => ({
    data: await (await api()).get('/dashboard/tokens'),
    columns: ['id', 'name', 'role', 'created_at', 'expires_at', 'last_used_at', 'revoked_at'],
  }),
};

const revoke: Command = {
  name: 'token revoke',
  summary: 'End a token, and every session that was made from it',
  examples: ['tds token revoke 0193a5e2-7b1c-7000-8000-3f6d2c9b1a04 --yes'],
  args: [['<id>', 'id of the token, as tds token list shows it']],
  confirms: true,
  async run({ api, confirm }, [id = '']) {
    const path = `/dashboard/tokens/${uuid(id)}/revoke`;
    if (!(await confirm(`Revoke the token ${id}?`))) return { data: null, rows: [], exitCode: 1 };
    return { data: await (await api()).post(path) };
  },
};

/** Tokens of operators. */
export const tokenCommands = [create, list, revoke];
