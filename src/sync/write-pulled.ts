/** The one way in which records that were fetched from Zoho enter this system: as events, like those of webhooks. */
import { type Kysely, sql, type Transaction } from 'kysely';
import type { Schema } from '../db/schema.ts';
import { sanitise } from '../inbox/scan.ts';
import { newEventId } from '../inbox/uuid.ts';
import { type Enqueued, enqueueWithin } from '../queue/enqueue.ts';
import type { ZohoRecord } from '../zoho/client/records.ts';
import { type InnerModule, innerModulesOf, type PullModule } from '../zoho/modules/pull-modules.ts';
import { type Compared, compareWithMirror, type Difference } from './differences.ts';
import { countWithoutId, holdersOf, innerGone, innerRecords } from './inner-records.ts';
import { recordPulledChange } from './pulled-changes.ts';
import { type RememberedRow, rememberRows } from './rows.ts';

export type PulledBatch = {
  organizationId: string;
  module: PullModule;
  /** Full records, never rows of a list. */
  records: readonly ZohoRecord[];
  /** Records of which Zoho, asked for each alone, says that they do not exist. */
  deletedIds: readonly string[];
  /** The workflow that pulls; null when a single record was fetched. */
  runId: string | null;
  /** What the pull was for: the workflow's name, or why a record was fetched alone. */
  reason: string;
  /** A moment before the first call (`databaseTime`): whatever arrived later may be newer than these records. */
  fetchedAt: Date;
  /** Hashes of the list rows that led to the records, by id: they are not fetched again until their rows change. */
  rowHashes?: ReadonlyMap<string, string>;
};

export type WrittenEvent = { eventId: string; entityId: string; difference: Difference };

type Draft = WrittenEvent & {
  module: string;
  action: string;
  record: string;
  version: Date | null;
  announced: boolean;
};

/** Behind webhooks: a backfill of thousands must not hold up what happens now. */
const PRIORITY = 5;

/**
 * Turns whatever differs from the mirror into inbox events with source `pull` and their queue rows, in the caller's
 * transaction; the mirror and the user's handlers see them in the entity's order. Records that the mirror holds already
 * become nothing. Records within records (contact persons) become events of their own. Keep the transaction short: other
 * writers of these entities wait for it.
 */
export async function writePulled(trx: Transaction<Schema>, batch: PulledBatch): Promise<WrittenEvent[]> {
  const { organizationId, module, records, fetchedAt } = batch;
  const texts = records.map((record) => ({ ...record, text: textOf(record) }));
  const compared = await compareWithMirror(trx, organizationId, module.name, texts, fetchedAt);
  const drafts = [
    ...texts.flatMap((record, n) => updateOf(module.name, record, compared[n])),
    ...(await liveAmong(trx, batch, module.name, batch.deletedIds)).map((id) =>
      deletionOf(id, module.name, module.idFields[0]),
    ),
  ];
  for (const inner of innerModulesOf(module)) drafts.push(...(await innerDrafts(trx, batch, inner)));
  if (drafts.length > 0) {
    const events = drafts.map((draft) => eventOf(draft, batch));
    await enqueueWithin(trx, events);
  }
  const changes = drafts.map((draft) => changeOf(draft, batch));
  await recordPulledChange(trx, changes);
  await rememberRows(trx, organizationId, module.name, rowsOf(batch, compared, drafts));
  return drafts.map(({ eventId, entityId, difference }) => ({ eventId, entityId, difference }));
}

/** The database's clock: to be asked before the first call of what `writePulled` will write. */
export async function databaseTime(db: Kysely<Schema>): Promise<Date> {
  const { rows } = await sql<{ now: Date }>`select clock_timestamp() as now`.execute(db);
  if (rows[0] === undefined) throw new Error('the database has no clock');
  return rows[0].now;
}

function textOf({ text, needsSanitising }: ZohoRecord): string {
  return needsSanitising ? sanitise(text) : text;
}

function updateOf(
  module: string,
  { id, text, version }: { id: string; text: string; version: Date | null },
  compared: Compared | undefined,
): Draft[] {
  if (!compared || compared.difference === null) return [];
  const { difference, announced, isNew } = compared;
  const action = isNew ? 'created' : 'updated';
  return [{ eventId: newEventId(), module, entityId: id, difference, record: text, version, action, announced }];
}

function deletionOf(id: string, module: string, idField: string): Draft {
  const rest = { action: 'deleted', record: JSON.stringify({ [idField]: id }), version: null, announced: false };
  return { eventId: newEventId(), module, entityId: id, difference: 'extra', ...rest };
}

/** Compared by their content alone: they have no version. */
async function innerDrafts(trx: Transaction<Schema>, batch: PulledBatch, inner: InnerModule): Promise<Draft[]> {
  const { organizationId, records, deletedIds, fetchedAt } = batch;
  const found = innerRecords(inner, records);
  const compared = await compareWithMirror(trx, organizationId, inner.name, found, fetchedAt);
  const within = [...holdersOf(inner, records), ...deletedIds];
  const gone = await innerGone(trx, organizationId, inner, within, found);
  const goneIds = gone.map(({ id }) => id);
  const drafts = [
    ...found.flatMap((record, n) => updateOf(inner.name, record, compared[n])),
    ...(await liveAmong(trx, batch, inner.name, goneIds)).map((id) => deletionOf(id, inner.name, inner.idField)),
  ];
  const events = eventsById(drafts);
  await rememberRows(trx, organizationId, inner.name, [
    ...found.map((record, n) => ({
      ...record,
      withoutId: 0,
      ...heldBy(events.get(record.id), null, compared[n], batch),
    })),
    ...gone.map((row) => ({ ...row, hash: null, version: null, eventId: events.get(row.id) ?? null, withoutId: 0 })),
  ]);
  return drafts;
}

/** Those the mirror holds, or will hold by what this run has sent: a second word of the same deletion says nothing new. */
async function liveAmong(
  trx: Transaction<Schema>,
  { organizationId, runId }: PulledBatch,
  module: string,
  ids: readonly string[],
): Promise<string[]> {
  if (ids.length === 0) return [];
  const { rows } = await sql<{ id: string }>`
    select id from unnest(${ids}::text[]) as given (id) where exists (
        select from books_records where module = ${module} and entity_id = given.id
          and organization_id = ${organizationId} and deleted_at is null)
      or exists (
        select from tds_pulled_changes c join tds_sync_queue q on q.id = c.event_id
        where c.run_id = ${runId} and c.module = ${module} and c.entity_id = given.id
          and q.status not in ('completed', 'dead_letter'))
    order by id`.execute(trx);
  return rows.map(({ id }) => id);
}

function eventOf(draft: Draft, { organizationId, fetchedAt }: PulledBatch): Enqueued {
  const { eventId, module, entityId, record, action, version } = draft;
  return {
    ...{ eventId, organizationId, module, action, entityId, record: Buffer.from(record) },
    // A record without any time is as new as the moment at which it was fetched.
    version: version ?? (action === 'deleted' ? null : fetchedAt),
    eventType: `${module}.${action}`,
    ...{ source: 'pull', receivedAt: fetchedAt, priority: PRIORITY, versioned: version !== null },
    ...{ dedupeKey: null, quarantineReason: null, rawBody: null, ip: null, userAgent: null, request: null },
  };
}

function changeOf(draft: Draft, { organizationId, runId, reason }: PulledBatch) {
  const { eventId, module, entityId, version, difference, announced } = draft;
  return { eventId, organizationId, module, entityId, version, difference, announced, runId, reason };
}

function rowsOf(batch: PulledBatch, compared: Compared[], drafts: Draft[]): RememberedRow[] {
  const { module, records, rowHashes } = batch;
  if (rowHashes === undefined) return [];
  const events = eventsById(drafts.filter((draft) => draft.module === module.name));
  return records.map((record, n) => ({
    ...{ id: record.id, hash: rowHashes.get(record.id) ?? null, within: null },
    withoutId: countWithoutId(module, record),
    ...heldBy(events.get(record.id), record.version, compared[n], batch),
  }));
}

function eventsById(drafts: readonly Draft[]): Map<string, string> {
  return new Map(drafts.map(({ entityId, eventId }) => [entityId, eventId]));
}

/** The version and the event by which the mirror will hold a record: what was sent now, or what it holds alike already. */
function heldBy(
  sent: string | undefined,
  version: Date | null,
  compared: Compared | undefined,
  { fetchedAt }: PulledBatch,
): Pick<RememberedRow, 'version' | 'eventId'> {
  const { storedVersion = null, storedEventId = null } = compared ?? {};
  return {
    version: version ?? (sent === undefined ? storedVersion : fetchedAt),
    eventId: sent ?? storedEventId,
  };
}
