import { sql } from 'kysely';
import type { HandlerContext, HandlerEvent } from './handler.ts';

/**
 * False when a newer version of the event's record is known meanwhile: the event is a retried old one, and acting on its
 * payload would undo what came later. The mirror has run before your handlers, in the same transaction, so it knows.
 * True for a record without versions.
 */
export async function isLatest(
  event: Pick<HandlerEvent, 'organizationId' | 'module' | 'entityId' | 'version'>,
  { trx }: Pick<HandlerContext, 'trx'>,
): Promise<boolean> {
  const { rows } = await sql<{ newer: boolean | null }>`
    select greatest(version, stale_version) > ${event.version}::timestamptz as newer from books_records
    where module = ${event.module} and entity_id = ${event.entityId}
      and organization_id = ${event.organizationId}`.execute(trx);
  return rows[0]?.newer !== true;
}
