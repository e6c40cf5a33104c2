/** The one way in which records that were fetched from Zoho enter this system: as events, like those of webhooks. */
import { type Kysely, sql, type Transaction } from 'kysely';
import type { Schema } from '../db/schema.ts';
import { sanitise } from '../inbox/scan.ts';
import { newEventId } from '../inbox/uuid.ts';
import { type Enqueued, enqueueWithin } from '../queue/enqueue.ts';
import type { ZohoRecord } from '../zoho/client/records.ts';
import type { PullModule } from '../zoho/modules/pull-modules.ts';
import { type Compared, compareWithMirror, type Difference } from './differences.ts';
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

type Draft = WrittenEvent & { record: string; version: Date | null; action: string; announced: boolean };

/** Behind webhooks: a backfill of thousands must not hold up what happens now. */
const PRIORITY = 5;

/**
 * Turns whatever differs from the mirror into inbox events with source `pull` and their queue rows, in the caller's
 * transaction; the mirror and the user's handlers see them in the entity's order. Records that the mirror holds already
 * become nothing. Keep the transaction short: other writers of these entities wait for it.
 */
export async function writePulled(trx: Transaction<Schema>, batch: PulledBatch): Promise<WrittenEvent[]> {
  const { organizationId, module, records, fetchedAt } = batch;
  const texts = records.map((record) => ({ ...record, text: textOf(record) }));
  const compared = await compareWithMirror(trx, organizationId, module.name, texts, fetchedAt);
  const drafts = [
    ...texts.flatMap((record, n) => updateOf(record, compared[n])),
    ...(await liveAmong(trx, batch)).map((id) => deletionOf(id, module)),
  ];
  if (drafts.length > 0)
    await enqueueWithin(
      trx,
      drafts.map((draft) => eventOf(draft, batch)),
    );
  await recordPulledChange(
    trx,
    drafts.map((draft) => changeOf(draft, batch)),
  );
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

function updateOf({ id, text, version }: ZohoRecord, compared: Compared | undefined): Draft[] {
  if (!compared || compared.difference === null) return [];
  const { difference, announced, isNew } = compared;
  const action = isNew ? 'created' : 'updated';
  return [{ eventId: newEventId(), entityId: id, difference, record: text, version, action, announced }];
}

function deletionOf(id: string, module: PullModule): Draft {
  const record = JSON.stringify({ [module.idFields[0]]: id });
  const rest = { record, version: null, action: 'deleted', announced: false };
  return { eventId: newEventId(), entityId: id, difference: 'extra', ...rest };
}

/** Those the mirror holds, or will hold by what this run has sent: a second word of the same deletion says nothing new. */
async function liveAmong(trx: Transaction<Schema>, batch: PulledBatch): Promise<string[]> {
  const { organizationId, module, deletedIds, runId } = batch;
  if (deletedIds.length === 0) return [];
  const { rows } = await sql<{ id: string }>`
    select id from unnest(${deletedIds}::text[]) as given (id) where exists (
        select from books_records where module = ${module.name} and entity_id = given.id
          and organization_id = ${organizationId} and deleted_at is null)
      or exists (
        select from tds_pulled_changes c join tds_sync_queue q on q.id = c.event_id
        where c.run_id = ${runId} and c.module = ${module.name} and c.entity_id = given.id
          and q.status not in ('completed', 'dead_letter'))
    order by id`.execute(trx);
  return rows.map(({ id }) => id);
}

function eventOf(draft: Draft, { organizationId, module, fetchedAt }: PulledBatch): Enqueued {
  const { eventId, entityId, record, action, version } = draft;
  return {
    ...{ eventId, organizationId, module: module.name, action, entityId, record: Buffer.from(record) },
    // A record without any time is as new as the moment at which it was fetched.
    version: version ?? (action === 'deleted' ? null : fetchedAt),
    eventType: `${module.name}.${action}`,
    ...{ source: 'pull', receivedAt: fetchedAt, priority: PRIORITY, versioned: version !== null },
    ...{ dedupeKey: null, quarantineReason: null, rawBody: null, ip: null, userAgent: null, request: null },
  };
}

function changeOf(draft: Draft, { organizationId, module, runId, reason }: PulledBatch) {
  const { eventId, entityId, version, difference, announced } = draft;
  return {
    ...{ eventId, organizationId, module: module.name, entityId, version },
    difference,
    announced,
    runId,
    reason,
  };
}

function rowsOf(
  { records, rowHashes, fetchedAt }: PulledBatch,
  compared: Compared[],
  drafts: Draft[],
): RememberedRow[] {
  if (rowHashes === undefined) return [];
  const events = new Map(drafts.map(({ entityId, eventId }) => [entityId, eventId]));
  return records.map(({ id, version }, n) => {
    const eventId = events.get(id) ?? null;
    const stored = version ?? compared[n]?.storedVersion ?? null;
    return {
      ...{ id, hash: rowHashes.get(id) ?? null, eventId, within: null },
      version: eventId === null ? stored : (version ?? fetchedAt),
    };
  });
}
