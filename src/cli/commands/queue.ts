import { type Command, type Context, type Result, UsageError } from '../command.ts';
import { readNumber } from '../since.ts';
import type { Query } from '../transport.ts';
import { type Pause, pauseWords } from './status.ts';

type Purged = { deleted: Record<string, number>; finished: boolean };

const stats: Command = {
  name: 'queue stats',
  summary: 'How many events stand in each status',
  examples: ['tds queue stats --watch', 'tds queue stats -o json'],
  reads: true,
  run: async ({ api }) => ({ data: await (await api()).get('/dashboard/queue-stats') }),
};

const pause: Command = {
  name: 'queue pause',
  summary: 'Stop all claiming, or that of an event type; what is in hand finishes, and webhooks are accepted',
  examples: [
    'tds queue pause --reason "Zoho Books is down"',
    `tds queue pause --event-type 'invoice.*' --reason "the price handler is wrong"`,
  ],
  options: [
    ['--reason <text>', 'why; shown wherever somebody asks why events wait'],
    ['--event-type <type>', "only this one, such as invoice.updated or 'invoice.*'"],
  ],
  async run({ api, options, say }) {
    if (!options.reason) throw new UsageError('a pause needs --reason "why"');
    const body = { reason: options.reason, event_type: options.eventType };
    const data = (await (await api()).post('/dashboard/queue/pause', {}, body)) as Pause;
    for (const words of pauseWords(data)) say(words);
    return { data };
  },
};

const resume: Command = {
  name: 'queue resume',
  summary: 'Let claiming go on; with an event type, that of this one',
  examples: ['tds queue resume', `tds queue resume --event-type 'invoice.*'`],
  options: [
    ['--reason <text>', 'why, for the audit log'],
    ['--event-type <type>', 'one that was paused by itself'],
  ],
  async run({ api, options, say }) {
    const body = { reason: options.reason, event_type: options.eventType };
    const data = (await (await api()).post('/dashboard/queue/resume', {}, body)) as Pause;
    for (const words of pauseWords(data)) say(`Still ${words}`);
    return { data };
  },
};

const processPending: Command = {
  name: 'queue process-pending',
  summary: 'Let everything that waits for its next attempt run now',
  examples: ['tds queue process-pending --dry-run', 'tds queue process-pending'],
  plans: true,
  async run({ api, options, say }) {
    const data = (await (await api()).post('/api/jobs/process-pending', dryRun(options.dryRun))) as { message: string };
    say(data.message);
    return { data };
  },
};

const releaseStuck: Command = {
  name: 'queue release-stuck',
  summary: 'Set events back to pending that a worker has had in hand for too long',
  examples: ['tds queue release-stuck --dry-run', 'tds queue release-stuck --older-than 7200 --yes'],
  options: [['--older-than <seconds>', 'for longer than this (default: 3600)']],
  confirms: true,
  plans: true,
  run(context) {
    const { olderThan } = context.options;
    const seconds = readNumber('older-than', (olderThan as string) ?? '3600', 60, 604_800);
    const query = { older_than_seconds: seconds };
    const question = `Take events from workers that have had them for ${seconds} s? What they did for them is undone.`;
    return deed(context, '/dashboard/queue/release-stuck', query, question);
  },
};

const purge: Command = {
  name: 'queue purge',
  summary: 'Delete what nobody needs any more: what a night does, now',
  examples: ['tds queue purge --dry-run', 'tds queue purge --days 90 --yes'],
  options: [['--days <n>', 'older than so many days (default: RETENTION_DAYS)']],
  confirms: true,
  plans: true,
  async run(context) {
    const { options, say } = context;
    const days = options.days ? readNumber('days', options.days as string, 1, 3650) : undefined;
    const question = `Delete completed events older than ${days ?? 'RETENTION_DAYS'} days for good?`;
    const total: Record<string, number> = {};
    for (let finished = false; !finished; ) {
      const result = await deed(context, '/dashboard/queue/purge', { days }, question);
      if (result.data === null || options.dryRun) return result;
      const purged = result.data as Purged;
      finished = purged.finished;
      for (const [kind, rows] of Object.entries(purged.deleted)) total[kind] = (total[kind] ?? 0) + rows;
      if (!finished) say(`${total.events} events so far`);
      context.confirm = async () => true;
    }
    return { data: { deleted: total, finished: true }, rows: [total] };
  },
};

const rebuild: Command = {
  name: 'queue rebuild',
  summary: 'Derive counts, waiting events, claims and dead letters from the queue anew',
  examples: ['tds queue rebuild --dry-run', 'tds queue rebuild --yes'],
  confirms: true,
  plans: true,
  async run(context) {
    const question = 'Rebuild? No event can arrive or end meanwhile: seconds, on a large queue up to a minute.';
    const { data, ...rest } = await deed(context, '/dashboard/queue/rebuild', {}, question);
    if (data === null) return { data, ...rest };
    const { differences } = data as { differences: Record<string, unknown>[] };
    context.say(differences.length === 0 ? 'All was right.' : `${differences.length} differences:`);
    return { data, rows: differences, columns: ['what', 'was', 'is_now'] };
  },
};

export const queueCommands = [stats, pause, resume, processPending, releaseStuck, purge, rebuild];

/** Does what a route does, or says what it would do; null when the person said no. */
async function deed(context: Context, path: string, query: Query, question: string): Promise<Result> {
  const { api, options, confirm } = context;
  if (!options.dryRun && !(await confirm(question))) return { data: null, rows: [], exitCode: 1 };
  return { data: await (await api()).post(path, { ...query, ...dryRun(options.dryRun) }) };
}

function dryRun(option: unknown): Query {
  return option ? { dry_run: true } : {};
}
