/** `npm run adopt-organization -- <organization_id> [--dry-run]`: gives a name to what arrived without one. */
import { parseArgs } from 'node:util';
import { type RawBuilder, sql } from 'kysely';
import { environmentConfig } from '../config.ts';
import { type Database, openDatabase } from '../db/database.ts';
import { foldInto } from '../handlers/mirror-fold.ts';
import { usableId } from './ids.ts';

/** Where deliveries are kept that name no organization while ZOHO_ORGANIZATION_ID is not set. */
export const UNNAMED_ORGANIZATION = 'default';

export type Adopted = {
  /** Events with their queue rows and dead letters. */
  events: number;
  /** Events that a worker was processing: run the command again for them. */
  left: number;
  /** Records of the mirror that only changed their organization. */
  records: number;
  /** Records that the organization had already: of the two the mirror's own rule made one. */
  merged: number;
};

const BATCH = 500;

/**
 * Moves everything under `default` to an organization: events, queue, dead letters, mirror. Workers and the API may run
 * meanwhile. Each batch commits on its own; after an interruption the next run goes on with the rest.
 *
 * Set ZOHO_ORGANIZATION_ID first and restart the API: what arrives unnamed until then is left for another run.
 */
export async function adoptOrganization(
  db: Database,
  organizationId: string,
  report: (sentence: string) => void = () => {},
): Promise<Adopted> {
  const adopted = { events: 0, left: 0, records: 0, merged: 0 };
  for (let last: string | null = null; ; report(`${adopted.events} events moved`)) {
    const batch = await moveEvents(db, organizationId, last);
    if (batch.last === null) break;
    adopted.events += batch.moved;
    last = batch.last;
  }
  for (let last: Key | undefined; ; report(`${adopted.records + adopted.merged} records moved`)) {
    const keys = await moveRecords(db, organizationId, last);
    last = keys.at(-1);
    if (last === undefined) break;
    adopted.merged += keys.filter((key) => key.taken).length;
    adopted.records += keys.filter((key) => !key.taken).length;
  }
  await sql`update tds_change_totals set organization_id = ${organizationId}
    where organization_id = ${UNNAMED_ORGANIZATION}`.execute(db);
  return { ...adopted, left: (await countUnnamed(db, organizationId)).events };
}

/** What `adoptOrganization` would do now; `left` are the events that are being processed at this moment. */
export async function countUnnamed(db: Database, organizationId: string): Promise<Adopted> {
  const { rows } = await sql<Adopted>`
    select (select count(*) from tds_inbox_events where organization_id = ${UNNAMED_ORGANIZATION})::int as events,
      (select count(*) from tds_sync_queue
       where organization_id = ${UNNAMED_ORGANIZATION} and status = 'processing')::int as left,
      count(*) filter (where other.module is null)::int as records, count(other.module)::int as merged
    from books_records as mine left join books_records as other
      on other.module = mine.module and other.entity_id = mine.entity_id and other.organization_id = ${organizationId}
    where mine.organization_id = ${UNNAMED_ORGANIZATION}`.execute(db);
  return rows[0] ?? { events: 0, left: 0, records: 0, merged: 0 };
}

/**
 * Walks the inbox by its key, so that no batch searches again what the ones before it have passed. The lock keeps workers
 * from claiming an event while its entity changes, for the time of one batch; it waits for claims under way. Events
 * that are being processed stay: their claim knows them by the old entity.
 */
async function moveEvents(
  db: Database,
  to: string,
  last: string | null,
): Promise<{ moved: number; last: string | null }> {
  return db.transaction().execute(async (trx) => {
    await sql`lock table tds_queue_claims in share mode`.execute(trx);
    const { rows } = await sql<{ moved: number; last: string | null }>`
      with batch as materialized (
        select event_id, module, entity_id from tds_inbox_events as event
        where organization_id = ${UNNAMED_ORGANIZATION} and (${last}::uuid is null or event_id > ${last}::uuid)
          and not exists (select from tds_sync_queue q where q.id = event.event_id and q.status = 'processing')
        order by event_id limit ${BATCH}
      ),
      queue as (
        update tds_sync_queue q set organization_id = ${to},
          entity_key = tds_entity_key(${to}, batch.module, batch.entity_id, batch.event_id)
        from batch where q.id = batch.event_id
      ),
      dead_letters as (
        update tds_dead_letter_queue d set organization_id = ${to} from batch where d.original_queue_id = batch.event_id
      ),
      events as (
        update tds_inbox_events e set organization_id = ${to} from batch where e.event_id = batch.event_id
      )
      select count(*)::int as moved, max(event_id::text) as last from batch`.execute(trx);
    return rows[0] ?? { moved: 0, last: null };
  });
}

/** A record under `default`; `taken`: the organization has one with the same id. */
type Key = { module: string; entity_id: string; taken: boolean };

/**
 * Moves the records that the organization does not have with their past versions, and folds the others into those it has:
 * as if what the row knows had just arrived. The past of those others stays under `default`: one record has one past. Both rows are locked first, so that nothing is folded into an outdated one.
 */
async function moveRecords(db: Database, to: string, last: Key | undefined): Promise<Key[]> {
  return db.transaction().execute(async (trx) => {
    const { rows: keys } = await sql<Key>`
      select mine.module, mine.entity_id, other.module is not null as taken
      from books_records as mine left join lateral (
        select module from books_records as other
        where (other.module, other.entity_id, other.organization_id) = (mine.module, mine.entity_id, ${to}) for update
      ) as other on true
      where mine.organization_id = ${UNNAMED_ORGANIZATION}
        and (mine.module, mine.entity_id) > (${last?.module ?? ''}, ${last?.entity_id ?? ''})
      order by mine.module, mine.entity_id limit ${BATCH} for update of mine`.execute(trx);
    const [taken, free] = [keys.filter((key) => key.taken), keys.filter((key) => !key.taken)];
    await sql`update books_records set organization_id = ${to} where ${isUnnamed(free)}`.execute(trx);
    await sql`update books_past_records set organization_id = ${to} where ${isUnnamed(free)}`.execute(trx);
    if (taken.length > 0) await foldInto(asEvents(to, taken)).execute(trx);
    await sql`delete from books_records where ${isUnnamed(taken)}`.execute(trx);
    return keys;
  });
}

function isUnnamed(keys: Key[]): RawBuilder<boolean> {
  return sql`(module, entity_id, organization_id) in (
    select module, entity_id, ${UNNAMED_ORGANIZATION} from unnest(
      ${keys.map((key) => key.module)}::text[], ${keys.map((key) => key.entity_id)}::text[]) as key (module, entity_id))`;
}

/** A row says up to three things: what it holds, that a newer version exists, and that something came without a version. */
function asEvents(to: string, keys: Key[]): RawBuilder<unknown> {
  return sql`
    select gen_random_uuid() as queue_id, said.arrival, event_id, source, module, entity_id, ${to}::text as organization_id,
      said.received_at, said.arrival = 1 and deleted_at is not null as deleted, said.version, record, complete,
      said.arrival > 1 as pointer
    from books_records cross join lateral (values
      (1::bigint, version, received_at),
      (2, stale_version, stale_since),
      (3, null, stale_received_at)
    ) as said (arrival, version, received_at)
    where ${isUnnamed(keys)} and said.received_at is not null
      and (said.arrival <> 2 or said.version is not null)`;
}

const USAGE = `usage: npm run adopt-organization -- <organization_id> [--dry-run]
Moves events, queue, dead letters and mirrored records from '${UNNAMED_ORGANIZATION}', where deliveries are kept that name no organization,
to this one. Set ZOHO_ORGANIZATION_ID to it first and restart the API. Workers may run; it can be repeated.`;

async function main(args: string[]): Promise<void> {
  const { positionals, values } = parseArgs({
    args,
    allowPositionals: true,
    options: { 'dry-run': { type: 'boolean' }, help: { type: 'boolean' } },
  });
  if (values.help) return console.log(USAGE);
  const organizationId = positionals.length === 1 ? usableId(positionals[0] ?? '') : null;
  if (organizationId === null || organizationId === UNNAMED_ORGANIZATION) throw new Error(USAGE);
  const { databaseUrl } = environmentConfig();
  if (!databaseUrl) throw new Error('DATABASE_URL is not set: give it the URL that npm start prints');
  const { db, close } = openDatabase({ url: databaseUrl, max: 1, applicationName: 'tds-adopt', queryTimeoutMs: 0 });
  try {
    const done = values['dry-run']
      ? await countUnnamed(db, organizationId)
      : await adoptOrganization(db, organizationId, console.log);
    console.log(summary(done, organizationId, values['dry-run'] ?? false));
  } finally {
    await close();
  }
}

function summary({ events, left, records, merged }: Adopted, to: string, dryRun: boolean): string {
  const what = `${events} events, ${records} records; ${merged} records become one with those that ${to} has`;
  const rest = left > 0 ? ` ${left} events are being processed: run it again for them.` : '';
  return `${dryRun ? `to be moved from ${UNNAMED_ORGANIZATION}` : 'moved'} to ${to}: ${what}.${rest}`;
}

if (import.meta.main) {
  await main(process.argv.slice(2)).catch((error: Error) => {
    console.error(error.message);
    process.exitCode = 1;
  });
}
