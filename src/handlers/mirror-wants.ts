/** What the mirror cannot know from what came: records to be fetched from the API, noted with the event's own effects. */
import { sql, type Transaction } from 'kysely';
import type { Schema } from '../db/schema.ts';

export type Wanting = {
  /** Events that left a record in part, out of date, or unknown. */
  inPart: readonly string[];
  /** Events that name other records: a payment its invoices or bills. */
  naming: readonly string[];
};

/** Modules whose records name those that they change. */
const NAMING = ['customerpayment', 'vendorpayment', 'creditnote', 'vendorcredit'];

export function namesOthers(eventType: string): boolean {
  return NAMING.includes(eventType.slice(0, eventType.indexOf('.')));
}

/** Most records changed by a payment announce themselves: they get this long, and cost no call then. */
const OWN_WEBHOOK = sql`interval '10 seconds'`;

/**
 * Notes what has to be fetched, in the caller's transaction. What a pull brought names nothing: it sees the others
 * itself. In the order of the key, so that two transactions never wait for each other in a circle.
 */
export async function wantRefetches(trx: Transaction<Schema>, { inPart, naming }: Wanting): Promise<void> {
  if (inPart.length + naming.length === 0) return;
  await sql`
    insert into tds_refetches as r (organization_id, module, entity_id, reason, version, next_at)
    select distinct on (module, entity_id, organization_id) organization_id, module, entity_id, reason, version,
      case reason when 'named' then now() + ${OWN_WEBHOOK} else now() end
    from (
      select organization_id, module, entity_id, 'partial' as reason, version
      from unnest(${inPart}::uuid[]) as given (event_id) cross join lateral (${event(sql`null::jsonb`)}) e
      union all
      select organization_id, named.module, named.id, 'named', version
      from unnest(${naming}::uuid[]) as given (event_id) cross join lateral (${event(sql`payload::jsonb`)}) e
      cross join lateral (
        select 'invoice' as module, one ->> 'invoice_id' as id from jsonb_array_elements(${listIn('invoices')}) one
        union all
        select 'bill', one ->> 'bill_id' from jsonb_array_elements(${listIn('bills')}) one) named
      where named.id ~ '^[1-9][0-9]{0,39}$') wants
    order by module, entity_id, organization_id, reason desc, version desc nulls last
    on conflict (module, entity_id, organization_id) do update set reason = excluded.reason, version = excluded.version,
      wanted_at = excluded.wanted_at, next_at = excluded.next_at, attempts = 0, deferrals = 0, last_error = null, done_at = null`.execute(
    trx,
  );
}

// `offset 0`: each is looked up by its id, whatever statistics say.
const event = (record: ReturnType<typeof sql>) => sql`
  select organization_id, module, entity_id, p.version, ${record} as record
  from tds_inbox_events i join tds_inbox_payloads p using (event_id)
  where i.event_id = given.event_id and entity_id is not null and p.source <> 'pull' offset 0`;

const listIn = (key: string) =>
  sql`case jsonb_typeof(e.record -> ${key}::text) when 'array' then e.record -> ${key}::text else '[]' end`;
