/** The records that wait to be fetched alone: which are due, and what became of those that were asked for. */
import { type Kysely, sql, type Transaction } from 'kysely';
import type { Database } from '../db/database.ts';
import type { Schema } from '../db/schema.ts';
import { pullModules } from '../zoho/modules/pull-modules.ts';

export type Wanted = { module: string; id: string };

const PULLED = pullModules.map(({ name }) => name);
const FIRST_RETRY_SECONDS = 60;
const LONGEST_RETRY_SECONDS = 86_400;
const FIRST_DEFERRAL_SECONDS = 15;
const LONGEST_DEFERRAL_SECONDS = 900;

/** Organizations, of these, of which something is due. */
export async function organizationsWithDue(db: Database, organizations: readonly string[]): Promise<string[]> {
  const { rows } = await sql<{ id: string }>`
    select id from unnest(${organizations}::text[]) as o (id) where exists (
      select from tds_refetches where organization_id = o.id and done_at is null and next_at <= now())`.execute(db);
  return rows.map(({ id }) => id);
}

/**
 * What is due for an organization, the oldest first. Ends on the way what needs no fetch any more: a row that is whole and
 * current again, or that already has the version which a payment's names it for.
 */
export async function dueRefetches(db: Database, organizationId: string, limit: number): Promise<Wanted[]> {
  const { rows } = await sql<Wanted & { current: boolean }>`
    with due as materialized (
      select r.module, r.entity_id, coalesce(stored.complete and stored.stale_since is null and stored.deleted_at is null
        and (r.reason <> 'named' or stored.version >= r.version), false) as current
      from tds_refetches r left join books_records stored using (module, entity_id, organization_id)
      where r.organization_id = ${organizationId} and r.done_at is null and r.next_at <= now()
        and r.module = any (${PULLED}::text[])
      order by r.next_at limit ${limit}),
    ended as (
      update tds_refetches r set done_at = now() from due
      where r.module = due.module and r.entity_id = due.entity_id and r.organization_id = ${organizationId} and due.current)
    select module, entity_id as id, current from due`.execute(db);
  return rows.flatMap(({ module, id, current }) => (current ? [] : [{ module, id }]));
}

/**
 * Asks for rows of the mirror that are out of date, whoever marked them, and that nobody has asked for. What is on its way
 * to the mirror, or lies in the dead letters, would only get there twice. Returns how many.
 */
export async function wantStale(db: Database, organizationId: string): Promise<number> {
  const { numAffectedRows } = await sql`
    insert into tds_refetches as r (organization_id, module, entity_id, reason)
    select organization_id, module, entity_id, 'stale' from books_records b
    where organization_id = ${organizationId} and stale_since is not null and module = any (${PULLED}::text[])
      and not exists (select from tds_refetches w where w.module = b.module and w.entity_id = b.entity_id
        and w.organization_id = b.organization_id and (w.done_at is null or w.done_at > now() - interval '1 minute'))
      and not exists (select from tds_sync_queue q where q.status <> 'completed'
        and q.entity_key = tds_entity_key(b.organization_id, b.module, b.entity_id, null) offset 0)
    order by module, entity_id limit 1000
    on conflict (module, entity_id, organization_id) do update set reason = excluded.reason, version = null,
      wanted_at = excluded.wanted_at, next_at = excluded.next_at, attempts = 0, deferrals = 0, last_error = null, done_at = null`.execute(
    db,
  );
  return Number(numAffectedRows ?? 0);
}

type Key = { organizationId: string; module: string };

/** Locks those that still wait: what another process has fetched meanwhile is not written twice. */
export async function stillWanted(trx: Transaction<Schema>, key: Key, ids: readonly string[]): Promise<Set<string>> {
  const { rows } = await sql<{ id: string }>`
    select entity_id as id from tds_refetches where ${isOneOf(key, ids)} and done_at is null
    order by entity_id for update`.execute(trx);
  return new Set(rows.map(({ id }) => id));
}

/**
 * Ends those that were fetched after they were asked for. One whose record is older than what a webhook told of is no
 * answer yet: it is tried again later.
 */
export async function endRefetches(
  trx: Transaction<Schema>,
  key: Key,
  fetched: readonly { id: string; version: Date | null }[],
  fetchedAt: Date,
): Promise<void> {
  const { rows } = await sql<{ id: string }>`
    with given as (
      select * from unnest(${fetched.map(({ id }) => id)}::text[], ${fetched.map(({ version }) => version)}::timestamptz[])
        as g (id, version))
    select given.id from given join books_records b
      on b.module = ${key.module} and b.entity_id = given.id and b.organization_id = ${key.organizationId}
    where b.stale_version > given.version`.execute(trx);
  const older = rows.map(({ id }) => id);
  await retryLater(trx, key, older, 'Zoho gives an older version than a webhook told of.');
  const ended = fetched.map(({ id }) => id).filter((id) => !older.includes(id));
  await sql`update tds_refetches set done_at = now(), attempts = 0, deferrals = 0, last_error = null
    where ${isOneOf(key, ended)} and wanted_at <= ${fetchedAt}`.execute(trx);
}

/** Zoho's answer was of no use for these: after a minute they are tried again, then after two, at last once a day. */
export async function retryLater(db: Kysely<Schema>, key: Key, ids: readonly string[], why: string): Promise<void> {
  if (ids.length === 0) return;
  await sql`
    update tds_refetches set attempts = attempts + 1, last_error = ${why},
      next_at = now() + least(${LONGEST_RETRY_SECONDS}, ${FIRST_RETRY_SECONDS} * 2.0 ^ least(attempts, 20)) * interval '1 second'
    where ${isOneOf(key, ids)} and done_at is null`.execute(db);
}

/** The API was away when their turn came: that costs no attempt, and others go first for a while. */
export async function defer(db: Kysely<Schema>, key: Key, ids: readonly string[], why: string): Promise<void> {
  await sql`
    update tds_refetches set deferrals = deferrals + 1, last_error = ${why},
      next_at = now() + least(${LONGEST_DEFERRAL_SECONDS}, ${FIRST_DEFERRAL_SECONDS} * 2.0 ^ least(deferrals, 20)) * interval '1 second'
    where ${isOneOf(key, ids)} and done_at is null`.execute(db);
}

const isOneOf = ({ organizationId, module }: Key, ids: readonly string[]) => sql<boolean>`
  module = ${module} and organization_id = ${organizationId} and entity_id = any (${ids}::text[])`;
