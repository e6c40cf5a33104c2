import { sql } from 'kysely';
import type { Database } from '../db/database.ts';

export type LastReconcile = {
  id: string;
  verdict: 'agrees' | 'repaired' | 'differs' | 'withheld';
  records: number;
  agree: number;
  completed_at: string;
};

export type Completeness = {
  organization_id: string;
  module: string;
  /** Live records in Zoho when its list was last read whole; null: it never was. */
  records: number | null;
  /** Changes that no webhook announced, as long as RETENTION_DAYS keeps them; and those found in the last 24 hours. */
  holes: number;
  holes_last_24h: number;
  /** Live rows of the mirror of which only parts are known, and rows known to be out of date. */
  incomplete: number;
  stale: number;
  webhooks_last_24h: number;
  last_webhook_at: Date | null;
  last_change_at: Date | null;
  /** By the rhythm of the last four weeks, a webhook comes at least this often; null: there are too few to say. */
  expected_within_seconds: number | null;
  silent: boolean;
  /** Whether rules in Zoho announce all its changes, as of the last check; null: nobody has looked. */
  announced: boolean | null;
  last_reconcile: LastReconcile | null;
};

/** A rhythm needs so many hours with webhooks, and so long a history. */
const RHYTHM_HOURS = 20;
const RHYTHM = sql`interval '28 days'`;
const RHYTHM_HISTORY = sql`interval '7 days'`;
/** The longest pause so far, and half as long again; shorter ones than this are nobody's alarm. */
const TOLERANCE = 1.5;
const SHORTEST_SECONDS = 6 * 3600;

// Two collations meet here: "C" sorts and hashes fastest, and an index is of use only in its own.
const ORGANIZATION = sql`organization_id collate "C" as organization_id`;
const MODULE = sql`module collate "C" as module`;
const ofKnown = (table: string) => sql`${sql.ref(`${table}.organization_id`)} = known.organization_id collate "default"
  and ${sql.ref(`${table}.module`)} = known.module collate "default"`;

/** The modules that have holes, each found by a step through the index. */
const WITH_HOLES = sql`
  with recursive step as (
    (select organization_id, module from tds_holes order by organization_id, module limit 1)
    union all
    select n.organization_id, n.module from step cross join lateral (
      select organization_id, module from tds_holes h
      where (h.organization_id, h.module) > (step.organization_id, step.module)
      order by h.organization_id, h.module limit 1) n)
  select organization_id, module from step`;

/**
 * Whether each module is complete, by organization and module. Silent is a module that is pulled and of which either a
 * change later than its last webhook is known that no webhook announced, or no webhook has come for longer than its
 * rhythm allows.
 *
 * Reads hourly totals, holes, marks, verdicts and the index of stale rows: its cost does not grow with the records.
 * @param at the moment that counts; default: now
 */
export async function readCompleteness(db: Database, at = sql`now()`): Promise<Completeness[]> {
  const { rows } = await sql<Completeness>`
    with totals as materialized (
      select ${ORGANIZATION}, ${MODULE}, row_number() over () as no, max(last_webhook_at) as last_webhook_at,
        max(last_change_at) as last_change_at,
        coalesce(sum(webhooks) filter (where bucket >= (select date_trunc('hour', ${at} - interval '24 hours', 'UTC'))), 0)::float8
          as webhooks_last_24h
      from tds_change_totals group by 1, 2),
    rhythm as (
      -- Sorted by a number, which is many times faster than by two texts. Rows of one hour have no pause between them.
      select no, case when count(*) filter (where pause is null or pause > '0') >= ${RHYTHM_HOURS}
          and min(bucket) < ${at} - ${RHYTHM_HISTORY}
        then greatest(${TOLERANCE} * extract(epoch from max(pause)), ${SHORTEST_SECONDS})::float8 end as expected_within_seconds
      from (
        select no, bucket, bucket - lag(bucket) over (partition by no order by bucket) as pause
        from tds_change_totals t join totals on totals.organization_id = t.organization_id collate "C"
          and totals.module = t.module collate "C"
        where webhooks > 0 and bucket > (select ${at} - ${RHYTHM})) hours
      group by 1),
    stale as (
      select organization_id, module, count(*) filter (where not complete)::float8 as incomplete,
        count(*) filter (where complete)::float8 as stale
      from books_records where stale_since is not null group by 1, 2),
    known as (
      select organization_id, module from totals union select ${ORGANIZATION}, ${MODULE} from tds_pull_marks
      union select ${ORGANIZATION}, ${MODULE} from (${WITH_HOLES}) w union select organization_id, module from stale
      union select ${ORGANIZATION}, ${MODULE} from tds_zoho_rules)
    select organization_id, module, scanned_records as records, holes, holes_last_24h,
      coalesce(incomplete, 0) as incomplete, coalesce(stale, 0) as stale,
      coalesce(webhooks_last_24h, 0) as webhooks_last_24h, last_webhook_at, last_change_at, expected_within_seconds,
      marks.module is not null and (
        coalesce(last_hole_at > coalesce(last_webhook_at, '-infinity'), false)
        or coalesce(extract(epoch from ${at} - last_webhook_at) > expected_within_seconds, false)) as silent,
      cardinality(rules.problems) = 0 as announced, verdict as last_reconcile
    from known
      left join totals using (organization_id, module) left join rhythm using (no)
      left join stale using (organization_id, module)
      left join tds_pull_marks marks using (organization_id, module)
      left join tds_zoho_rules rules using (organization_id, module)
      cross join lateral (
        select count(*)::float8 as holes, max(changed_at) as last_hole_at,
          count(*) filter (where found_at > (select ${at} - interval '24 hours'))::float8 as holes_last_24h
        from tds_holes h where ${ofKnown('h')}) counted
      left join lateral (
        select json_build_object('id', run_id, 'verdict', verdict, 'records', records, 'agree', agree,
          'completed_at', completed_at) as verdict
        from tds_pull_verdicts v where ${ofKnown('v')}
        order by completed_at desc limit 1) latest on true
    order by organization_id, module`.execute(db);
  return rows;
}
