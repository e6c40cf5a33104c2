/** What the roll-ups ought to say, from every row of the tables: plain, slow, and without a line of SQL that counts. */
import type { Pool, QueryResultRow } from 'pg';

const NUMBERS = [
  ...['received', 'rejected', 'completed', 'failed', 'dead', 'run_us', 'wait_us'],
  ...['pulled_pages', 'pulled_records'],
] as const;
type Cell = Record<(typeof NUMBERS)[number], number> & { run: number[]; wait: number[] };
/** By `hour organization source type`. */
export type Cells = Map<string, Cell>;

type Inbox = {
  event_id: string;
  received_at: Date;
  organization_id: string;
  came_by: string | null;
  event_type: string;
};
type Log = {
  queue_id: string;
  created_at: Date;
  status: string;
  duration_ms: number | null;
  waited_ms: number | null;
};
type Rejection = { hour: Date; rejections: string };
type Run = { id: string; organization_id: string };
type Activity = {
  workflow_id: string;
  name: string;
  status: string;
  completed_at: Date;
  output: { reached?: boolean; refusal?: string | null; fetched?: number };
};

const RUN = [10, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000, 60_000];
const WAIT = [...[100, 500, 1000, 5000, 15_000, 60_000], ...[300_000, 900_000, 3_600_000, 21_600_000, 86_400_000]];
const HOUR = 3_600_000;

export async function expected(pool: Pool): Promise<Cells> {
  const cells: Cells = new Map();
  const events = new Map<string, string>();
  for (const { event_id, received_at, organization_id, came_by, event_type } of await all<Inbox>(
    pool,
    'tds_inbox_events',
  )) {
    events.set(event_id, `${organization_id} ${came_by ?? 'webhook'} ${event_type}`);
    cell(cells, received_at, events.get(event_id)).received += 1;
  }
  for (const log of await all<Log>(pool, 'tds_sync_logs')) {
    if (log.status !== 'released') addAttempt(cell(cells, log.created_at, events.get(log.queue_id)), log);
  }
  for (const { hour, rejections } of await all<Rejection>(pool, 'tds_webhook_rejections'))
    cell(cells, hour, ' webhook ').rejected += Number(rejections);
  const runs = new Map((await all<Run>(pool, 'tds_workflows')).map(({ id, organization_id }) => [id, organization_id]));
  for (const { workflow_id, name, status, completed_at, output } of await all<Activity>(
    pool,
    'tds_workflow_activities',
  )) {
    if (status !== 'completed' || !('reached' in output || 'fetched' in output)) continue;
    const pulled = cell(cells, completed_at, `${runs.get(workflow_id)} pull ${name.split(' ')[0]}.pulled`);
    if ('reached' in output && output.refusal === null) pulled.pulled_pages += 1;
    pulled.pulled_records += output.fetched ?? 0;
  }
  return cells;
}

/** The same of tds_metrics, without keys of which nothing is left. */
export async function told(pool: Pool, period: string): Promise<Cells> {
  const { rows } = await pool.query(`select * from tds_metrics($1, '-infinity')`, [period]);
  const cells: Cells = new Map();
  for (const row of rows) {
    const here = cell(cells, row.starts_at, `${row.organization_id} ${row.source} ${row.event_type}`);
    for (const number of NUMBERS) here[number] = Number(row[number]);
    here.run = row.run.map(Number);
    here.wait = row.wait.map(Number);
  }
  return withoutNothing(cells);
}

/** Hours added up to days or weeks. */
export function addedUp(hours: Cells, period: 'day' | 'week'): Cells {
  const cells: Cells = new Map();
  for (const [key, hour] of hours) {
    const [at = '', ...rest] = key.split(' ');
    const here = cell(cells, beginOf(new Date(at), period), rest.join(' '));
    for (const number of NUMBERS) here[number] += hour[number];
    here.run = here.run.map((n, place) => n + (hour.run[place] ?? 0));
    here.wait = here.wait.map((n, place) => n + (hour.wait[place] ?? 0));
  }
  return cells;
}

export function sorted(cells: Cells) {
  return Object.fromEntries([...withoutNothing(cells)].toSorted(([a], [b]) => (a < b ? -1 : 1)));
}

function addAttempt(here: Cell, log: Log): void {
  if (log.status === 'completed') here.completed += 1;
  else here.failed += 1;
  if (log.status === 'dead_letter') here.dead += 1;
  if (log.duration_ms !== null) {
    here.run_us += Math.round(log.duration_ms * 1000);
    count(here.run, RUN, log.duration_ms);
  }
  if (log.waited_ms !== null) {
    here.wait_us += Math.round(log.waited_ms * 1000);
    count(here.wait, WAIT, log.waited_ms);
  }
}

function count(histogram: number[], bounds: number[], ms: number): void {
  const found = bounds.findIndex((bound) => ms < bound);
  const place = found < 0 ? bounds.length : found;
  histogram[place] = (histogram[place] ?? 0) + 1;
}

function cell(cells: Cells, at: Date, rest = '  '): Cell {
  const key = `${new Date(Math.floor(at.getTime() / HOUR) * HOUR).toISOString()} ${rest}`;
  const nothing = Object.fromEntries(NUMBERS.map((number) => [number, 0])) as unknown as Cell;
  const here = cells.get(key) ?? { ...nothing, run: RUN.concat(0).map(() => 0), wait: WAIT.concat(0).map(() => 0) };
  cells.set(key, here);
  return here;
}

function beginOf(at: Date, period: 'day' | 'week'): Date {
  const day = new Date(Date.UTC(at.getUTCFullYear(), at.getUTCMonth(), at.getUTCDate()));
  if (period === 'week') day.setUTCDate(day.getUTCDate() - ((day.getUTCDay() + 6) % 7));
  return day;
}

function withoutNothing(cells: Cells): Cells {
  const isSomething = (one: Cell) => [...NUMBERS.map((n) => one[n]), ...one.run, ...one.wait].some((n) => n !== 0);
  return new Map([...cells].filter(([, one]) => isSomething(one)));
}

async function all<R extends QueryResultRow>(pool: Pool, table: string): Promise<R[]> {
  return (await pool.query<R>(`select * from ${table}`)).rows;
}
