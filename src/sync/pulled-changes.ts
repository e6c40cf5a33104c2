/** What pulls found, change by change: holes of the webhooks are counted from it, and a run knows its events by it. */
import { sql, type Transaction } from 'kysely';
import type { Schema } from '../db/schema.ts';
import type { Difference } from './differences.ts';

export type PulledChange = {
  eventId: string;
  organizationId: string;
  module: string;
  entityId: string;
  /** In Zoho; null for a deletion. */
  version: Date | null;
  difference: Difference;
  announced: boolean;
  runId: string | null;
  reason: string;
};

/** Notes changes in `tds_pulled_changes`, together with the events that carry them. */
export async function recordPulledChange(trx: Transaction<Schema>, changes: readonly PulledChange[]): Promise<void> {
  if (changes.length === 0) return;
  await sql`
    insert into tds_pulled_changes (event_id, organization_id, module, entity_id, version, difference, announced, run_id, reason)
    select event_id, organization_id, module, entity_id, version, difference, announced, run_id, reason
    from json_to_recordset(${JSON.stringify(changes.map(asRow))}::json) as c (event_id uuid, organization_id text,
      module text, entity_id text, version timestamptz, difference text, announced boolean, run_id uuid, reason text)`.execute(
    trx,
  );
}

function asRow({ eventId, organizationId, entityId, runId, ...rest }: PulledChange) {
  return { event_id: eventId, organization_id: organizationId, entity_id: entityId, run_id: runId, ...rest };
}
