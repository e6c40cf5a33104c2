/** Changes that a pull was the first to see, judged: did a webhook announce them after all, or are they holes? */
import { sql } from 'kysely';
import type { Database } from '../db/database.ts';
import { pullModules } from '../zoho/modules/pull-modules.ts';

const ANNOUNCED_MODULES = pullModules.filter(({ hasWebhooks }) => hasWebhooks).map(({ name }) => name);
const BATCH = 1000;

/**
 * A rule announces what changes from the moment it was made. The oldest version that a webhook brought tells when that
 * was, less the first one's delay; a change before that, and before the first pull of the module, was never expected to be
 * announced: it is what a first load brings.
 */
const EXPECTED_EARLIER = sql`interval '5 minutes'`;

export type Judged = { judged: number; holes: number };

/**
 * Judges every change that was found at least `graceSeconds` ago, each once. A hole is a change of a module that webhooks
 * announce for which no webhook of the same record came with that version or a later one (a body without a version tells
 * of the state at its arrival), and for a deletion none that tells of a deletion. A payment announces what it did to the
 * invoice or bill that it names: Zoho gives both the same time. In batches, until `signal`; several workers may judge at once.
 */
export async function judgeHoles(db: Database, graceSeconds: number, signal?: AbortSignal): Promise<Judged> {
  const sum = { judged: 0, holes: 0 };
  for (let batch = BATCH; batch === BATCH && !signal?.aborted; ) {
    const { judged, holes } = await judgeBatch(db, graceSeconds);
    sum.judged += judged;
    sum.holes += holes;
    batch = judged;
  }
  return sum;
}

async function judgeBatch(db: Database, graceSeconds: number): Promise<Judged> {
  const { rows } = await sql<Judged>`
    with due as materialized (
      select *, coalesce(version, found_at) as changed_at from tds_pulled_changes
      where judged_at is null and found_at <= now() - ${graceSeconds} * interval '1 second'
      order by found_at limit ${BATCH} for update skip locked),
    suspect as materialized (
      select * from due where not announced and module = any (${ANNOUNCED_MODULES}::text[])
        and (version is not null or difference = 'extra')),
    expected as materialized (
      select organization_id, module, min(since) as since from (
        select organization_id, module, min(first_webhook_version) - ${EXPECTED_EARLIER} as since
        from tds_change_totals where exists (select from suspect) group by 1, 2
        union all
        select organization_id, module, first_pulled_at from tds_pull_marks) s
      group by 1, 2),
    holes as (
      insert into tds_holes (event_id, organization_id, module, entity_id, version, difference, changed_at, pulled_at)
      select event_id, organization_id, module, entity_id, version, difference, changed_at, found_at
      from suspect s join expected e using (organization_id, module)
      where changed_at >= e.since and not ${wasAnnounced} and not ${wasNamed}
      order by module, entity_id, organization_id
      on conflict do nothing returning 1),
    judged as (
      update tds_pulled_changes c set judged_at = now() from due where c.event_id = due.event_id returning 1)
    select (select count(*) from judged)::int as judged, (select count(*) from holes)::int as holes`.execute(db);
  return rows[0] ?? { judged: 0, holes: 0 };
}

// Each looked up through the index tds_sync_queue_entity.
const wasAnnounced = sql`exists (
  select from tds_sync_queue q
    join tds_inbox_payloads p on p.event_id = q.id join tds_inbox_events i on i.event_id = q.id
  where q.entity_key = tds_entity_key(s.organization_id, s.module, s.entity_id, null) and q.entity_id = s.entity_id
    and q.organization_id = s.organization_id and i.module = s.module and p.source = 'webhook'
    and case when s.difference = 'extra' then i.action = 'deleted'
      else coalesce(p.version, i.received_at) >= s.version end offset 0)`;

const wasNamed = sql`exists (
  select from tds_refetches r
  where r.module = s.module and r.entity_id = s.entity_id and r.organization_id = s.organization_id
    and r.reason = 'named' and s.version between r.version - interval '5 seconds' and r.version + interval '5 seconds')`;
