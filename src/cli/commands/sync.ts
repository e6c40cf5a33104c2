import type { Command, Options, Result } from '../command.ts';
import { readNumber } from '../since.ts';
import type { Query } from '../transport.ts';
import { uuid } from './events.ts';

type Answer = Record<string, unknown>;
type Shown = Pick<Result, 'rows' | 'columns'>;

const HEALTH = ['status', 'is_healthy', 'consecutive_failures', 'last_sync', 'next_sync'];
const EVENTS = [
  'started_at',
  'sync_type',
  'status',
  'organization_id',
  'name',
  'duration',
  'items_processed',
  'error_code',
];
const PERIODS = [
  ...['time', 'total_syncs', 'success_rate', 'average_duration', 'items_synced', 'received', 'rejected', 'dead'],
  'records_pulled',
];
const ERRORS = [
  ...['created_at', 'id', 'kind', 'name', 'error_type', 'retry_count', 'next_retry_in', 'resolved_at'],
  'error_message',
];

const LIMIT: [string, string] = ['--limit <n>', 'at most so many, up to 200'];
const SCOPE: [string, string][] = [
  ['--organization <id>', 'only of this organization'],
  ['--module <module>', 'only of this module, without runs of pulls'],
];

/** A command that reads one route. `show` makes the lines of a table of its answer. */
function reads(
  verb: string,
  summary: string,
  { options = [], example = '', show }: { options?: [string, string][]; example?: string; show(answer: never): Shown },
): Command {
  return {
    name: `sync ${verb}`,
    summary,
    examples: [`tds sync ${verb}`, `tds sync ${verb} ${example || '-o json'}`],
    options,
    reads: true,
    async run({ api, options: given }) {
      const data = await (await api()).get(`/dashboard/sync/${verb}`, queryOf(given));
      return { data, ...show(data as never) };
    },
  };
}

function queryOf({ limit, hours, status, type, period, includeResolved, organization, module }: Options): Query {
  const text = (value: Options[string]) => value as string | undefined;
  const number = (name: string, value: Options[string]) =>
    value === undefined ? undefined : readNumber(name, String(value), 1, 200);
  return {
    ...{ limit: number('limit', limit), hours: number('hours', hours), status: text(status), type: text(type) },
    ...{ period: text(period), include_resolved: includeResolved === true ? true : undefined },
    ...{ organization_id: text(organization), module: text(module) },
  };
}

const events = { show: (rows: Answer[]): Shown => ({ rows, columns: EVENTS }) };
const STATUS: [string, string] = ['--status <status>', 'started, success or failed'];

const syncResolve: Command = {
  name: 'sync resolve',
  summary: 'Say that a failed run is dealt with',
  examples: ['tds sync resolve 0193a5e2-7b1c-7000-8000-3f6d2c9b1a04'],
  args: [['<id>', 'id of the error, as tds sync errors shows it']],
  run: async ({ api }, [id = '']) => ({
    data: await (await api()).post(`/dashboard/sync/errors/${uuid(id)}/resolve`),
  }),
};

/** What the sync monitoring guide asks of its command line. */
export const syncCommands: Command[] = [
  reads('health', 'Whether the pulls succeed', {
    show: (health: Answer & { metrics: Answer }) => ({
      rows: [{ ...pick(health, HEALTH), ...health.metrics }],
    }),
  }),
  reads('overview', 'The sync at a glance', {
    show: (answer: Record<'overview' | 'performance' | 'health', Answer>) => ({
      rows: [{ ...answer.overview, ...answer.performance, active_errors: answer.health.active_errors }],
    }),
  }),
  reads('events', 'Runs of pulls and webhooks, latest first', {
    options: [LIMIT, STATUS, ['--type <type>', 'full, incremental, reconcile or webhook']],
    ...{ example: '--limit 20 --status failed', ...events },
  }),
  reads('webhooks', 'Webhooks, latest first', { options: [LIMIT, STATUS], ...events }),
  reads('metrics', 'What was synchronised per hour, day or week', {
    options: [['--period <period>', 'hour, day or week'], LIMIT, ...SCOPE],
    example: '--period day --limit 7',
    show: ({ metrics }: { metrics: Answer[] }) => ({ rows: metrics, columns: PERIODS }),
  }),
  reads('timeline', 'The last hours, one by one', {
    options: [['--hours <n>', 'so many hours, up to 168'], ...SCOPE],
    example: '--hours 48',
    show: ({ timeline }: { timeline: Answer[] }) => ({ rows: timeline }),
  }),
  reads('errors', 'What went wrong and is not yet right', {
    options: [['--include-resolved', 'also what is right again'], LIMIT],
    example: '--include-resolved',
    show: ({ errors }: { errors: Answer[] }) => ({ rows: errors, columns: ERRORS }),
  }),
  reads('performance', 'How long it takes, compared with the week before', {
    show: ({ degradation }: { degradation: Answer[] }) => ({ rows: degradation }),
  }),
  syncResolve,
];

function pick(from: Answer, names: string[]): Answer {
  return Object.fromEntries(names.map((name) => [name, from[name]]));
}
