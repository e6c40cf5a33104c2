import { setTimeout as sleep } from 'node:timers/promises';
import { type Command, type Context, type Options, UsageError } from '../command.ts';
import { readList } from '../pages.ts';
import { readNumber, readTime } from '../since.ts';
import { SELECTION_OPTIONS, selection } from './dlq-selection.ts';
import { uuid } from './events.ts';

type Letter = { id: string; moved_to_dlq_at: string; event_type: string };
type Group = { key: string };
type Plan = { count: number; permanent: number; oldest: string | null; newest: string | null; breakdown: object[] };
type Run = { id: string; status: string; status_reason: string | null; total: number } & Record<Part, number>;
type Part = 'waiting' | 'in_queue' | 'completed' | 'failed' | 'skipped';

const COLUMNS = ['id', 'event_type', 'entity_id', 'error_tag', 'last_error', 'moved_to_dlq_at', 'retry_count'];
const RUN_COLUMNS = ['id', 'status', 'total', 'waiting', 'in_queue', 'completed', 'failed', 'skipped', 'status_reason'];
const RUN_ID: [string, string] = ['<run>', 'id of the retry, as tds dlq runs shows it'];
const PROGRESS_MS = 1000;

const list: Command = {
  name: 'dlq list',
  summary: 'Open dead letters, latest first',
  examples: ['tds dlq list --since 24h', 'tds dlq list --discarded', 'tds dlq list --limit 1000 -o jsonl'],
  options: [
    ['--discarded', 'those that can be restored, in place of the open ones'],
    ['--since <time>', 'that died since, such as 24h'],
    ['--limit <n>', 'at most so many (default: 50)'],
  ],
  reads: true,
  async run({ api, options }) {
    const query = options.discarded ? { state: 'discarded' } : {};
    const since = readTime('since', options.since as string | undefined);
    const limit = readNumber('limit', (options.limit as string) ?? '50', 1, 100_000);
    const enough = (letter: Letter) => since !== undefined && Date.parse(letter.moved_to_dlq_at) < since.getTime();
    const path = '/dashboard/dead-letter';
    return { data: await readList<Letter>(await api(), path, { limit, query, enough }), columns: COLUMNS };
  },
};

const groups: Command = {
  name: 'dlq groups',
  summary: 'Open dead letters by cause',
  examples: ['tds dlq groups', 'tds dlq retry --group 0f3a5c7e9b1d2468 --dry-run'],
  reads: true,
  async run({ api }) {
    const data = (await (await api()).get('/dashboard/dead-letter/groups')) as { groups: Group[] };
    const rows = data.groups as Record<string, unknown>[];
    return { data, rows, columns: ['key', 'count', 'error_tag', 'message', 'event_types', 'last_seen_at'] };
  },
};

const show: Command = {
  name: 'dlq show',
  summary: 'One dead letter with its payload',
  examples: ['tds dlq show 0193a5e2-7b1c-7000-8000-3f6d2c9b1a04 -o json'],
  args: [['<id>', 'id of the dead letter, which is that of its event']],
  reads: true,
  run: async ({ api }, [id = '']) => ({ data: await (await api()).get(`/dashboard/dead-letter/${uuid(id)}`) }),
};

const retry: Command = {
  name: 'dlq retry',
  summary: 'Retry dead letters: one by its id, or many carefully (one, then ten, then the rest)',
  examples: [
    'tds dlq retry 0193a5e2-7b1c-7000-8000-3f6d2c9b1a04',
    'tds dlq retry --group 0f3a5c7e9b1d2468 --dry-run',
    'tds dlq retry --tag TimeoutError --since 24h --yes --wait',
    'tds dlq retry --all --force --reason "data corrected in Zoho Books" --yes',
  ],
  args: [['[ids...]', 'ids of dead letters']],
  options: [
    ...SELECTION_OPTIONS,
    ['--reason <text>', 'why, for the audit log'],
    ['--force', 'also what failed for a permanent cause; needs --reason'],
    ['--rate <n>', 'so many a second after the canary (default: 50)'],
    ['--max-failures <percent>', 'stop above this share of failures (default: 20)'],
    ['--wait', 'show progress until it has ended'],
  ],
  confirms: true,
  plans: true,
  async run(context, ids) {
    const { options } = context;
    const body = { ...selection(ids, options), ...settings(options) };
    const only = Object.keys(body).join() === 'ids' && ids.length === 1 && !options.dryRun && !options.wait;
    return only ? retryOne(context, uuid(ids[0] as string)) : retryMany(context, body);
  },
};

async function retryOne({ api, say }: Context, id: string) {
  const data = (await (await api()).post(`/dashboard/dead-letter/${id}/retry`)) as { message: string };
  say(data.message);
  return { data };
}

async function retryMany(context: Context, body: object) {
  const { say, options } = context;
  const api = await context.api();
  const path = '/dashboard/dead-letter/retry';
  const plan = (await api.post(path, { dry_run: true }, body)) as Plan;
  if (options.dryRun) {
    say(
      `${plan.count} dead letters, ${plan.permanent} of them of a permanent cause, from ${plan.oldest} to ${plan.newest}`,
    );
    return { data: plan, rows: plan.breakdown as Record<string, unknown>[] };
  }
  const question = `Retry ${plan.count} dead letters from ${plan.oldest} to ${plan.newest}?`;
  if (!(await context.confirm(question))) return { data: null, rows: [], exitCode: 1 };
  const run = (await api.post(path, {}, body)) as Run;
  if (!options.wait) {
    say(`Started: tds dlq run ${run.id}`);
    return { data: run, columns: RUN_COLUMNS };
  }
  return waitFor(context, run);
}

async function waitFor(context: Context, started: Run) {
  const api = await context.api();
  let run = started;
  while (['running', 'paused'].includes(run.status)) {
    if (context.io.tty.err) context.io.err(`\r${run.completed} completed, ${run.failed} failed, ${run.waiting} to go `);
    await sleep(PROGRESS_MS);
    run = (await api.get(`/dashboard/dead-letter/retries/${run.id}`)) as Run;
  }
  if (context.io.tty.err) context.io.err('\n');
  context.say(
    `${run.status}: ${run.completed} of ${run.total} completed, ${run.failed} failed ${run.status_reason ?? ''}`,
  );
  return { data: run, columns: RUN_COLUMNS, exitCode: run.status === 'completed' && run.failed === 0 ? 0 : 1 };
}

function settings({ reason, force, rate, maxFailures }: Options): object {
  if (force && !reason) throw new UsageError('--force needs --reason "why"');
  return {
    ...(reason ? { reason } : {}),
    ...(force ? { force: true } : {}),
    ...(rate ? { rate_per_second: readNumber('rate', rate as string, 1, 1000) } : {}),
    ...(maxFailures ? { max_failure_percent: readNumber('max-failures', maxFailures as string, 0, 100) } : {}),
  };
}

const runs: Command = {
  name: 'dlq runs',
  summary: 'Retries of many dead letters, the latest first',
  examples: ['tds dlq runs'],
  reads: true,
  run: async ({ api }) => ({ data: await (await api()).get('/dashboard/dead-letter/retries'), columns: RUN_COLUMNS }),
};

const run: Command = {
  name: 'dlq run',
  summary: 'A retry of many dead letters, and how far it is',
  examples: ['tds dlq run 0193a5e2-7b1c-7000-8000-3f6d2c9b1a04 --watch'],
  args: [RUN_ID],
  reads: true,
  run: async ({ api }, [id = '']) => ({
    data: await (await api()).get(`/dashboard/dead-letter/retries/${uuid(id)}`),
    columns: RUN_COLUMNS,
  }),
};

const control = (what: 'pause' | 'resume' | 'cancel', summary: string): Command => ({
  name: `dlq ${what}`,
  summary,
  examples: [`tds dlq ${what} 0193a5e2-7b1c-7000-8000-3f6d2c9b1a04`],
  args: [RUN_ID],
  run: async ({ api }, [id = '']) => ({
    data: await (await api()).post(`/dashboard/dead-letter/retries/${uuid(id)}/${what}`),
    columns: RUN_COLUMNS,
  }),
});

export const dlqCommands = [
  ...[list, groups, show, retry, runs, run],
  control('pause', 'Let a retry of many release no more for now'),
  control('resume', 'Let a retry that was paused go on'),
  control('cancel', 'End a retry; what it has released stays in the queue'),
];
