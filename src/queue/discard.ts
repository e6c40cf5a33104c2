import { type Kysely, sql } from 'kysely';
import type { Schema } from '../db/schema.ts';
import { lockStatus } from './replay.ts';
import { isChosen, type Selection } from './retry-runs/selection.ts';

export type DiscardResult = { outcome: 'discarded' } | { outcome: 'not_found' } | { outcome: 'not_open' };

/**
 * Takes an open dead letter out of the queue for good, unless `restore` brings it back: its queue row goes, so that
 * counts and lists agree by themselves, and the dead letter keeps what a restore needs, and its bytes. The nightly
 * purge deletes it after 30 days. Of any number of discards and retries at once one succeeds. Give it a transaction.
 */
export async function discard(
  trx: Kysely<Schema>,
  id: string,
  operator: string,
  reason: string,
): Promise<DiscardResult> {
  const status = await lockStatus(trx, id);
  if (status === 'dead_letter') await putAway(trx, [id], operator, reason);
  else if (status === undefined && !(await isDeadLetter(trx, id))) return { outcome: 'not_found' };
  return { outcome: status === 'dead_letter' ? 'discarded' : 'not_open' };
}

const BATCH = 1000;

/**
 * Discards the open dead letters of a selection that had died when it began, at most 1,000. Those that somebody holds,
 * and what an operator took out of the queue, are left alone. Give it a transaction.
 * @returns how many; 0 when none is left
 */
export async function discardSome(
  trx: Kysely<Schema>,
  selection: Selection,
  began: Date,
  operator: string,
  reason: string,
): Promise<number> {
  const { rows } = await sql<{ id: string }>`
    select q.id from (
      select d.id from tds_dead_letter_queue d where ${isChosen(selection)} and d.moved_to_dlq_at <= ${began}
      order by d.moved_to_dlq_at, d.id) d
    cross join lateral (select id from tds_sync_queue q where q.id = d.id and q.status || '' = 'dead_letter'
      for update skip locked) q
    limit ${BATCH}`.execute(trx);
  const ids = rows.map(({ id }) => id);
  if (ids.length > 0) await putAway(trx, ids, operator, reason);
  return ids.length;
}

/** Closes dead letters whose queue rows the transaction has locked, and takes these rows out of the queue. */
export async function putAway(trx: Kysely<Schema>, ids: string[], operator: string, reason: string): Promise<void> {
  await sql`
    with gone as (
      delete from tds_sync_queue where id = any (${ids}::uuid[]) and status || '' = 'dead_letter' returning *)
    update tds_dead_letter_queue d set resolved_at = now(), discarded_at = now(), discarded_by = ${operator},
      discard_reason = ${reason}, discarded_event = jsonb_build_object('arrival', q.arrival, 'queued_at', q.queued_at,
        'priority', q.priority, 'payload_bytes', q.payload_bytes, 'versioned', q.versioned, 'started_at', q.started_at,
        'quarantined_by', d.quarantined_by)
    from gone q where d.id = q.id`.execute(trx);
}

export type RestoreResult =
  | { outcome: 'restored' }
  | { outcome: 'not_found' }
  | { outcome: 'not_discarded' }
  | { outcome: 'edited'; eventId: string };

/**
 * Opens a discarded dead letter again, as it was: with its attempts, its error, the time it died, its place in the order
 * of its entity, and the mark of an operator's quarantine. Of any number at once one succeeds. Give it a transaction.
 */
export async function restore(trx: Kysely<Schema>, id: string): Promise<RestoreResult> {
  const letter = await lockLetter(trx, id);
  if (!letter) return { outcome: 'not_found' };
  const edit = await trx
    .selectFrom('tds_event_edits')
    .select('event_id')
    .where('original_id', '=', id)
    .executeTakeFirst();
  if (edit) return { outcome: 'edited', eventId: edit.event_id };
  if (!letter.discarded || !(await putBack(trx, id))) return { outcome: 'not_discarded' };
  await sql`
    update tds_dead_letter_queue set moved_to_dlq_at = ${letter.died}::timestamptz, kind = ${letter.kind},
      quarantined_by = ${letter.quarantined_by}
    where id = ${id}`.execute(trx);
  return { outcome: 'restored' };
}

type Letter = { died: string; kind: string; discarded: boolean; quarantined_by: string | null };

/**
 * A dead letter, locked until the transaction ends. A discard, an edit and a restore each write its row, so what a later
 * statement reads of them stays true until then.
 */
async function lockLetter(trx: Kysely<Schema>, id: string): Promise<Letter | undefined> {
  const { rows } = await sql<Letter>`
    select moved_to_dlq_at::text as died, kind, discarded_at is not null as discarded,
      discarded_event ->> 'quarantined_by' as quarantined_by
    from tds_dead_letter_queue where id = ${id} for update`.execute(trx);
  return rows[0];
}

/** Puts the event of a discarded dead letter back into the queue; false when it is there. */
async function putBack(trx: Kysely<Schema>, id: string): Promise<boolean> {
  const { rows } = await sql`
    with back as (
      insert into tds_sync_queue (id, arrival, entity_key, queued_at, run_at, priority, payload_bytes, versioned,
        organization_id, event_type, entity_id, attempt_count, status, started_at, error_tag, error_message)
      select id, arrival, entity_key, queued_at, run_at, priority, payload_bytes, versioned, organization_id, event_type,
        entity_id, attempt_count, status, started_at, error_tag, error_message
      from tds_known_events where id = ${id} and discarded
      on conflict (id) do nothing returning queued_at),
    -- It arrived once: what the insert counts is taken back.
    once as (
      insert into tds_processing_totals (bucket, arrived) select date_bin('10 seconds', queued_at, 'epoch'), -1 from back)
    select from back`.execute(trx);
  return rows.length > 0;
}

/** Whether the event has a dead letter, open or not. */
export async function isDeadLetter(trx: Kysely<Schema>, id: string): Promise<boolean> {
  const letters = trx.selectFrom('tds_dead_letter_queue').select('id').where('id', '=', id);
  return (await letters.executeTakeFirst()) !== undefined;
}
