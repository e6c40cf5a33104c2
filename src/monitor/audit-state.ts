import { type RawBuilder, sql, type Transaction } from 'kysely';
import type { Schema } from '../db/schema.ts';

type Query = (target: string) => RawBuilder<{ state: string }>;

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

const ofEvent: Query = (id) => sql`
  select jsonb_build_object('status', q.status, 'attempt_count', q.attempt_count, 'quarantined_by', d.quarantined_by)::text
    as state
  from tds_sync_queue q left join tds_dead_letter_queue d on d.id = q.id where q.id = ${id}::uuid`;

/** By the first word of an action, where the target is an id. Few columns: whole rows name customers. */
const BY_ID: Record<string, Query> = {
  event: ofEvent,
  dead_letter: ofEvent,
  alert: (id) => sql`
    select jsonb_build_object('acknowledged_by', acknowledged_by, 'resolved', resolved_at is not null)::text as state
    from tds_alerts where id = ${id}::uuid`,
  workflow: (id) => sql`
    select jsonb_build_object('status', status)::text as state from tds_workflows where id = ${id}::uuid`,
  worker: (id) => sql`
    select jsonb_build_object('drained_by', drained_by)::text as state from tds_workers where worker_id = ${id}::uuid`,
  token: (id) => sql`
    select jsonb_build_object('name', name, 'role', role, 'revoked', revoked_at is not null)::text as state
    from tds_tokens where id = ${id}::uuid`,
};

const OF_QUEUE = sql<{ state: string }>`
  select jsonb_build_object('paused', paused)::text as state from tds_queue_state`;

/** The state of a deed's target, as JSON, as the transaction sees it; null for what has none. */
export async function stateOf(trx: Transaction<Schema>, action: string, target: string | null): Promise<string | null> {
  const query = queryOf(action, target);
  return (await query?.execute(trx))?.rows[0]?.state ?? null;
}

function queryOf(action: string, target: string | null): RawBuilder<{ state: string }> | undefined {
  const [kind = ''] = action.split('.', 1);
  if (action === 'queue.pause' || action === 'queue.resume') return OF_QUEUE;
  if (target === null) return undefined;
  if (kind === 'error')
    return sql`select jsonb_build_object('state', state)::text as state from tds_failure_groups
      where fingerprint = ${target}`;
  return UUID.test(target) ? BY_ID[kind]?.(target) : undefined;
}
