import { sql } from 'kysely';
import type { Database } from '../../../db/database.ts';
import { ERROR_TAGS } from '../../../errors/tagged.ts';
import { SYNC_SECONDS } from '../counted.ts';
import { type Buckets, counter, type Family, family, histogramSamples, type Sample } from '../family.ts';
import type { CounterRow } from './counters.ts';

type Row = {
  status: string;
  error_tag: string | null;
  le_ms: number;
  attempts: number;
  retries: number;
  stale: number;
  duration_ms: number;
};

/** Attempts that were charged and failed. `released` ones cost nothing, and count as neither. */
const FAILED = ['retry', 'dead_letter', 'crashed'];
const STATUSES = ['completed', 'released', ...FAILED];
const MILLISECONDS = [10, 50, 100, 500, 1000];

/** Attempts at events since the beginning, as their log rows were committed: exact, whatever was killed or purged. */
export async function readAttempts(db: Database): Promise<Row[]> {
  const { rows } = await sql<Row>`
    select status, error_tag, le_ms, sum(attempts)::float8 as attempts, sum(retries)::float8 as retries,
      sum(stale)::float8 as stale, sum(duration_ms)::float8 as duration_ms
    from tds_attempt_counts group by status, error_tag, le_ms`.execute(db);
  return rows;
}

/** @param repaired conflicts that reconciliations have resolved */
export function attemptFamilies(rows: readonly Row[], repaired: number): Family[] {
  const failed = rows.filter(({ status }) => FAILED.includes(status));
  const completed = rows.filter(({ status }) => status === 'completed');
  const charged = [...completed, ...failed];
  const [processed, lost] = [total(completed), total(failed)];
  return [
    counter('processed_ops_total', 'Attempts that completed their event.', processed),
    counter('failed_ops_total', 'Attempts that were charged and failed.', lost),
    counter('retries_total', 'Attempts that were not the first of their event.', total(rows, 'retries')),
    counter(
      'backoff_events_total',
      'Failed attempts after which the event waits with back-off.',
      countOf(rows, 'retry'),
    ),
    counter('conflicts_resolved_total', CONFLICTS, [
      { labels: { kind: 'stale_version' }, value: total(rows, 'stale') },
      { labels: { kind: 'repaired' }, value: repaired },
    ]),
    counter('job_failures_total', 'Attempts that were charged and failed, by error tag.', byTag(failed)),
    counter('webhook_events_processed_total', PROCESSED, [
      { labels: { result: 'completed' }, value: processed },
      { labels: { result: 'dead_letter' }, value: countOf(rows, 'dead_letter') },
    ]),
    counter(
      'tds_attempts_total',
      'Attempts at events by how they ended; released: given back without being charged.',
      STATUSES.map((status) => ({ labels: { status }, value: countOf(rows, status) })),
    ),
    durations('job_processing_duration_seconds', 'Time of attempts that completed or failed.', SYNC_SECONDS, {
      ...{ rows: charged, unit: 1000 },
    }),
    durations(
      'avg_processing_time_ms',
      'Time of attempts that completed or failed, in milliseconds: 0-10, 10-50, 50-100, 100-500, 500-1000 and above.',
      MILLISECONDS,
      { rows: charged, unit: 1 },
    ),
  ];
}

/** The attempts at events among the operations of synchronising, beside the runs that the processes count. */
export function eventOperations(rows: readonly Row[]): CounterRow[] {
  const failed = rows.filter(({ status }) => FAILED.includes(status));
  const completed = rows.filter(({ status }) => status === 'completed');
  const [operation, name] = ['event', 'sync_operations_duration_seconds'];
  const all = observed([...completed, ...failed], 1000);
  return [
    { name: 'sync_operations_total', labels: { operation, result: 'completed' }, value: total(completed) },
    { name: 'sync_operations_total', labels: { operation, result: 'failed' }, value: total(failed) },
    ...histogramSamples(name, { operation }, SYNC_SECONDS, all).map(({ metricName = name, ...row }) => ({
      ...row,
      name: metricName,
    })),
  ];
}

const CONFLICTS =
  'Conflicts that were resolved: stale_version, an event older than what the mirror holds, which won; repaired, a ' +
  'record of the mirror that contradicted Zoho Books and was put right by a reconciliation.';
const PROCESSED =
  'Events that came to an end, by result: deliveries, and what pulls send the same way. One that is retried or ' +
  'replayed counts again.';

function durations(name: string, help: string, limits: readonly number[], of: { rows: Row[]; unit: number }): Family {
  return family(name, 'histogram', help, histogramSamples(name, {}, limits, observed(of.rows, of.unit)));
}

/** @param unit milliseconds in the unit of the limits */
function observed(rows: readonly Row[], unit: number): { buckets: Buckets; sum: number } {
  const buckets = rows.map(({ le_ms, attempts }) => ({ le: le_ms / unit, count: attempts }));
  return { buckets, sum: total(rows, 'duration_ms') / unit };
}

function total(rows: readonly Row[], column: 'attempts' | 'retries' | 'stale' | 'duration_ms' = 'attempts'): number {
  return rows.reduce((sum, row) => sum + row[column], 0);
}

function countOf(rows: readonly Row[], status: string): number {
  return total(rows.filter((row) => row.status === status));
}

/** A log row that somebody wrote by hand may hold any text as its tag. */
function byTag(failed: readonly Row[]): Sample[] {
  const tagOf = ({ error_tag }: Row) => ERROR_TAGS.find((tag) => tag === error_tag) ?? 'UnknownError';
  return ERROR_TAGS.map((tag) => ({
    labels: { error_tag: tag },
    value: total(failed.filter((row) => tagOf(row) === tag)),
  }));
}
