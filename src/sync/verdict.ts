/** How a reconciliation of a module ended, counted in the mirror as it is. */
import { type Kysely, sql, type Transaction } from 'kysely';
import type { Schema } from '../db/schema.ts';
import type { Part } from './pages.ts';

export type VerdictWord = 'agrees' | 'repaired' | 'differs' | 'withheld';

/** Differences are counted as the run found them; `agree` and `repaired` as the mirror is at the end. */
export type ModuleVerdict = {
  verdict: VerdictWord;
  records: number;
  agree: number;
  missing: number;
  extra: number;
  stale: number;
  different: number;
  repaired: number;
  incomplete: number;
  withheld_deletions: number;
  problems: string[];
};

export type Counts = Omit<ModuleVerdict, 'verdict' | 'withheld_deletions' | 'problems'>;

const GRAVEST: readonly VerdictWord[] = ['withheld', 'differs', 'repaired', 'agrees'];

/** Whether every difference that was found is gone, and no other is left. */
export function isWhole(counts: Counts): boolean {
  return counts.agree === counts.records && counts.repaired === found(counts);
}

/** The verdict that counts, problems and withheld deletions amount to. */
export function judge(counts: Counts, withheld: number, problems: readonly string[]): ModuleVerdict {
  const whole = isWhole(counts) && problems.length === 0;
  const verdict = withheld > 0 ? 'withheld' : !whole ? 'differs' : found(counts) > 0 ? 'repaired' : 'agrees';
  return { verdict, ...counts, withheld_deletions: withheld, problems: [...problems] };
}

function found({ missing, extra, stale, different, incomplete }: Counts): number {
  return missing + extra + stale + different + incomplete;
}

/** The gravest of the modules' verdicts. */
export function gravest(verdicts: readonly ModuleVerdict[]): VerdictWord {
  return GRAVEST.find((word) => verdicts.some(({ verdict }) => verdict === word)) ?? 'agrees';
}

/** How many events of the run's part have not ended yet. */
export async function eventsUnderWay(db: Kysely<Schema>, runId: string): Promise<number> {
  const { rows } = await sql<{ events: number }>`
    select count(*)::int as events from tds_pulled_changes c join tds_sync_queue q on q.id = c.event_id
    where c.run_id = ${runId} and q.status not in ('completed', 'dead_letter')`.execute(db);
  return rows[0]?.events ?? 0;
}

/**
 * Compares what the run has seen with the mirror. A row that has changed since the run began counts as agreeing: what
 * changed it is newer than what was seen; one that was deleted since is not counted.
 */
export async function countPart(db: Kysely<Schema>, part: Part, startedAt: Date): Promise<Counts> {
  const { runId, organizationId, module } = part;
  const { rows } = await sql<Counts>`
    with pages as materialized (select ids, gone from tds_pull_pages where run_id = ${runId} and module = ${module}),
    shown as materialized (select unnest(ids) as id from pages except select unnest(gone) from pages),
    stored as materialized (
      select entity_id as id, version, received_at, deleted_at, stale_since, complete from books_records
      where module = ${module} and organization_id = ${organizationId}),
    judged as materialized (
      select id, coalesce(deleted_at is null and complete and stale_since is null
          and (stored.version = known.version or received_at > ${startedAt}), false) as agrees,
        case when complete is null or deleted_at is not null then 'missing' when not complete then 'incomplete'
          when stale_since is not null or stored.version < known.version then 'stale' else 'different' end as difference
      from shown left join stored using (id) left join tds_pull_rows known
        on known.module = ${module} and known.entity_id = id and known.organization_id = ${organizationId}
      where deleted_at is null or deleted_at < ${startedAt}),
    found as materialized (
      select distinct on (entity_id) entity_id as id, difference from tds_pulled_changes
      where run_id = ${runId} and module = ${module} order by entity_id, found_at),
    differing as (
      select coalesce(found.difference, judged.difference) as difference, coalesce(agrees, deleted_at is not null) as repaired
      from judged full join found using (id) left join stored using (id)
      where found.id is not null or not agrees
      union all
      select 'extra', false from stored where deleted_at is null and received_at < ${startedAt}
        and not exists (select from shown where shown.id = stored.id)
        and not exists (select from found where found.id = stored.id))
    select (select count(*) from judged)::int as records,
      (select count(*) filter (where agrees) from judged)::int as agree,
      count(*) filter (where difference = 'missing')::int as missing,
      count(*) filter (where difference = 'extra')::int as extra,
      count(*) filter (where difference = 'stale')::int as stale,
      count(*) filter (where difference = 'different')::int as different,
      count(*) filter (where repaired)::int as repaired,
      count(*) filter (where difference = 'incomplete')::int as incomplete
    from differing`.execute(db);
  if (rows[0] === undefined) throw new Error('counting gave no row');
  return rows[0];
}

/** Stores a verdict, and ends the waiting of deletions that an earlier run withheld: this run has judged them anew. */
export async function storeVerdict(
  trx: Transaction<Schema>,
  { runId, organizationId, module }: Part,
  verdict: ModuleVerdict,
  startedAt: Date,
): Promise<void> {
  await trx
    .insertInto('tds_pull_verdicts')
    .values({ run_id: runId, organization_id: organizationId, module, started_at: startedAt, ...verdict })
    .execute();
  await trx
    .updateTable('tds_withheld_deletions')
    .set({ ended_at: sql<Date>`now()`, ended_by: runId })
    .where('organization_id', '=', organizationId)
    .where('module', '=', module)
    .where('run_id', '!=', runId)
    .where('ended_at', 'is', null)
    .execute();
}
