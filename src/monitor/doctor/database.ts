/** The database: schema, what follows from the queue, connections, transactions, bloat, indexes, clock. */
import { sql } from 'kysely';
import { schemaAdvice, schemaState } from '../../db/schema-version.ts';
import { checkServer } from '../../db/server-settings.ts';
import { queueStats } from '../../queue/inspect.ts';
import type { Examination } from './finding.ts';

const CONNECTIONS_PERCENT = 50;
const LONG_TRANSACTION = '5 minutes';
const MANY_DEAD_ROWS = 100_000;
const SKEW_MS = 2000;

const schema: Examination = async (db) => {
  const state = await schemaState(db);
  const advice = schemaAdvice(state);
  if (!advice) return [];
  return [
    {
      ...{ code: 'schema', severity: 'critical', title: 'The tables are not those of this release' },
      cause: state.state === 'behind' ? 'the migrations have not run' : 'a newer release has run here',
      evidence: state.migrations.join(', '),
      next: state.state === 'behind' ? 'tds migrate up' : 'run the newer release',
    },
  ];
};

const settings: Examination = async (db, { nodeEnv }) => {
  const unsafe = await checkServer(db, { strict: false });
  if (unsafe.length === 0 || nodeEnv !== 'production') return [];
  return [
    {
      ...{ code: 'unsafe_server', severity: 'critical', title: 'PostgreSQL may lose what it committed' },
      cause: 'its settings trade safety for speed',
      evidence: unsafe.join('; '),
      next: 'switch them on in postgresql.conf and reload',
    },
  ];
};

/** The waiting events and the open dead letters are counted twice over; the completed ones are too many. */
const derived: Examination = async (db) => {
  const { pending, retry, dead_letter } = await queueStats(db);
  const { rows } = await sql<{ waiting: number; dead: number }>`
    select (select count(*)::int from tds_queue_waiting) as waiting,
      (select count(*)::int from tds_dead_letter_queue where resolved_at is null) as dead`.execute(db);
  const { waiting = 0, dead = 0 } = rows[0] ?? {};
  const again = await queueStats(db);
  // Both statements see a moment of their own: only what differs while nothing moves is wrong.
  if (again.pending !== pending || again.retry !== retry || again.dead_letter !== dead_letter) return [];
  if (waiting === pending + retry && dead === dead_letter) return [];
  return [
    {
      ...{ code: 'derived_tables', severity: 'critical', title: 'Counts and tables disagree' },
      cause: 'triggers were switched off, or a restore was incomplete',
      evidence: `${pending + retry} wait by count, ${waiting} by table; ${dead_letter} dead letters by count, ${dead} by table`,
      next: 'tds queue rebuild --dry-run',
    },
  ];
};

const connections: Examination = async (db) => {
  const { rows } = await sql<{ used: number; most: number }>`
    select count(*)::int as used, current_setting('max_connections')::int as most
    from pg_stat_activity where backend_type = 'client backend'`.execute(db);
  const { used = 0, most = 1 } = rows[0] ?? {};
  if (used * 100 < most * CONNECTIONS_PERCENT) return [];
  return [
    {
      ...{
        code: 'connections',
        severity: used * 100 > most * 90 ? 'critical' : 'warning',
        title: 'Many connections to the database',
      },
      cause: 'too many processes, too large a DATABASE_POOL_SIZE, or clients that never close',
      evidence: `${used} of ${most}`,
      next: 'select application_name, state, count(*) from pg_stat_activity group by 1, 2 order by 3 desc',
    },
  ];
};

const transactions: Examination = async (db) => {
  const { rows } = await sql<{ pid: number; name: string; since: Date; state: string }>`
    select pid, coalesce(nullif(application_name, ''), 'unnamed') as name, xact_start as since, state from pg_stat_activity
    where datname = current_database() and pid <> pg_backend_pid()
      and xact_start < now() - ${LONG_TRANSACTION}::interval order by xact_start limit 5`.execute(db);
  if (rows.length === 0) return [];
  return [
    {
      ...{ code: 'long_transaction', severity: 'warning', title: 'A transaction has been open for long' },
      cause: 'somebody left psql open after begin, or a report runs: vacuum can clean up nothing meanwhile',
      evidence: rows
        .map(({ pid, name, since, state }) => `${name} (${pid}), ${state}, since ${since.toISOString()}`)
        .join('; '),
      next: `end it where it was begun, or select pg_terminate_backend(${rows[0]?.pid})`,
    },
  ];
};

const bloat: Examination = async (db) => {
  const { rows } = await sql<{ name: string; dead: number; live: number }>`
    select relname as name, n_dead_tup::float8 as dead, n_live_tup::float8 as live from pg_stat_user_tables
    where relname ~ '^(tds|books)_' and n_dead_tup > ${MANY_DEAD_ROWS} and n_dead_tup > n_live_tup
    order by n_dead_tup desc limit 3`.execute(db);
  if (rows.length === 0) return [];
  return [
    {
      ...{ code: 'bloat', severity: 'warning', title: 'Dead rows are not cleaned up' },
      cause: 'autovacuum is off or cannot keep up, or a long transaction holds it back',
      evidence: rows.map(({ name, dead, live }) => `${name}: ${dead} dead, ${live} live`).join('; '),
      next: `vacuum (analyze) ${rows[0]?.name}`,
    },
  ];
};

const indexes: Examination = async (db) => {
  const { rows } = await sql<{ name: string }>`
    select indexrelid::regclass::text as name from pg_index i join pg_class c on c.oid = i.indrelid
    where not indisvalid and c.relname ~ '^(tds|books)_'`.execute(db);
  if (rows.length === 0) return [];
  return [
    {
      ...{ code: 'invalid_index', severity: 'warning', title: 'An index is invalid' },
      cause: 'a create index concurrently or reindex was broken off: it costs writes and serves nothing',
      evidence: rows.map(({ name }) => name).join(', '),
      next: `reindex index concurrently ${rows[0]?.name}, or drop it`,
    },
  ];
};

const purge: Examination = async (db, config) => {
  const retentionDays = config.retentionByKind.events ?? config.retentionDays;
  // The oldest events alone: by index, whatever the number of the others.
  const { rows } = await sql<{ overdue: number }>`
    select count(*)::int as overdue from (
      select status, completed_at from tds_sync_queue order by queued_at limit 1000) q
    where status = 'completed' and completed_at < now() - (${retentionDays}::int + 2) * interval '1 day'`.execute(db);
  const overdue = rows[0]?.overdue ?? 0;
  if (overdue === 0) return [];
  return [
    {
      ...{ code: 'purge_overdue', severity: 'warning', title: 'Old events are not purged' },
      cause: 'no worker ran at 03:17 in the last nights, or the purge failed',
      evidence: `${overdue}${overdue === 1000 ? ' or more' : ''} completed events older than ${retentionDays} days and two`,
      next: 'tds queue purge --dry-run',
    },
  ];
};

const clock: Examination = async (db) => {
  const before = Date.now();
  const { rows } = await sql<{ now: Date }>`select clock_timestamp() as now`.execute(db);
  const now = rows[0]?.now.getTime() ?? before;
  // The answer was made somewhere between asking and hearing.
  const skew = now < before ? before - now : Math.max(0, now - Date.now());
  if (skew < SKEW_MS) return [];
  return [
    {
      ...{ code: 'clock_skew', severity: 'warning', title: 'The clocks of API and database differ' },
      cause: 'one of the machines does not synchronise its time',
      evidence: `${Math.round(skew / 1000)} s`,
      next: 'timedatectl status, on both machines',
    },
  ];
};

export const database: Examination[] = [
  ...[schema, settings, derived, connections, transactions, bloat, indexes, purge, clock],
];
