import { type Kysely, type RawBuilder, sql } from 'kysely';
import type { Schema } from '../../db/schema.ts';

/** Which open dead letters: these, or all that match every given part of the filter; an empty filter is all. */
export type Selection = { ids: string[] } | { filter: Filter };

export type Filter = {
  error_tag?: string;
  event_type?: string;
  organization_id?: string;
  kind?: 'failed' | 'quarantined';
  /** Died at this time or later, RFC 3339. */
  since?: string;
  /** Died before this time, RFC 3339. */
  before?: string;
};

export type Plan = {
  /** Dead letters that would be retried. */
  count: number;
  /** Of these, how many failed for a cause that another attempt does not cure by itself. */
  permanent: number;
  oldest: Date | null;
  newest: Date | null;
  /** By cause, the most frequent first, at most 50. */
  breakdown: { error_tag: string; event_type: string; kind: string; permanent: boolean; count: number }[];
};

const MAX_BREAKDOWN = 50;

/** What a retry of these dead letters would touch. Changes nothing. */
export async function planRetry(db: Kysely<Schema>, selection: Selection, maxAttempts: number): Promise<Plan> {
  const causes = sql`
    select error_tag, event_type, kind, ${permanent(maxAttempts)} as permanent, moved_to_dlq_at
    from tds_dead_letter_queue d where ${isChosen(selection)}`;
  const totals = await sql<Omit<Plan, 'breakdown'>>`
    select count(*)::int as count, (count(*) filter (where permanent))::int as permanent,
      min(moved_to_dlq_at) as oldest, max(moved_to_dlq_at) as newest from (${causes}) c`.execute(db);
  const { rows: breakdown } = await sql<Plan['breakdown'][number]>`
    select error_tag, event_type, kind, permanent, count(*)::int as count from (${causes}) c
    group by 1, 2, 3, 4 order by 5 desc, 1, 2 limit ${MAX_BREAKDOWN}`.execute(db);
  return { ...(totals.rows[0] ?? { count: 0, permanent: 0, oldest: null, newest: null }), breakdown };
}

/** True for an open dead letter `d` that was chosen; what an operator took out of the queue is never. */
export function isChosen(selection: Selection): RawBuilder<boolean> {
  const open = sql<boolean>`d.resolved_at is null and d.quarantined_by is null`;
  if ('ids' in selection) return sql`${open} and d.id = any (${selection.ids}::uuid[])`;
  const { error_tag, event_type, organization_id, kind, since, before } = selection.filter;
  const parts = [
    open,
    error_tag && sql`d.error_tag = ${error_tag}`,
    event_type && sql`d.event_type = ${event_type}`,
    organization_id && sql`d.organization_id = ${organization_id}`,
    kind && sql`d.kind = ${kind}`,
    since && sql`d.moved_to_dlq_at >= ${since}::timestamptz`,
    before && sql`d.moved_to_dlq_at < ${before}::timestamptz`,
  ].filter((part) => part !== undefined && part !== '');
  return sql<boolean>`${sql.join(parts as RawBuilder<unknown>[], sql` and `)}`;
}

/** What dies before its attempts are used up has died of an error that says so itself. */
function permanent(maxAttempts: number): RawBuilder<boolean> {
  return sql`(error_tag in ('ValidationError', 'ConflictError') or attempt_count < ${maxAttempts})`;
}
