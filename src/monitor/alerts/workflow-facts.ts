import { type RawBuilder, sql } from 'kysely';
import type { Database } from '../../db/database.ts';
import type { ErrorTag } from '../../errors.ts';
import type { Facts, Labelled } from './rule.ts';

type WorkflowFacts = Pick<Facts, 'workflowsWithoutProgress' | 'failedForGood' | 'failedForNow'>;

/** A run that is due or in hand should finish an activity in this time. */
const PATIENCE = sql`interval '15 minutes'`;
/** Even one that waits for something which it says: a day's quota is back after a day. */
const LONGEST_WAIT = sql`interval '26 hours'`;

/**
 * What the rules about workflows look at. A failed run counts until it is retried, resolved or terminated, or a later run of its
 * name and organization has completed; of several that failed in a row the last one counts.
 * @param at the time to judge by; default: the database's clock
 */
export async function readWorkflowFacts(db: Database, at: RawBuilder<unknown> = sql`now()`): Promise<WorkflowFacts> {
  const { rows: failed } = await sql<{ error_tag: string; runs: number }>`
    select coalesce(result ->> 'tag', 'UnknownError') as error_tag, count(*)::float8 as runs from tds_workflows w
    where status = 'failed' and not exists (
      select from tds_workflows later where later.name = w.name and later.organization_id = w.organization_id
        and later.created_at > w.created_at and later.status in ('completed', 'failed'))
      and not exists (select from tds_sync_resolutions r where r.workflow_id = w.id and r.resolved_at >= w.updated_at)
    group by 1`.execute(db);
  const { rows } = await sql<Pick<WorkflowFacts, 'workflowsWithoutProgress'>>`select ${withoutProgress(at)}`.execute(
    db,
  );
  const of = (wanted: (tag: string) => boolean): Labelled =>
    failed.flatMap(({ error_tag, runs }) => (wanted(error_tag) ? [{ labels: { error_tag }, value: runs }] : []));
  const passing = (tag: string) => PASSING.has(tag);
  return {
    workflowsWithoutProgress: rows[0]?.workflowsWithoutProgress ?? null,
    failedForGood: of((tag) => !passing(tag)),
    failedForNow: of(passing),
  };
}

/** Another attempt may go well, without anybody changing anything here. */
const PASSING: ReadonlySet<string> = new Set<ErrorTag>([
  ...(['InternalServerError', 'ServiceUnavailableError', 'TimeoutError', 'NetworkError', 'RateLimitError'] as const),
]);

// What nobody may process has no progress to make.
const withoutProgress = (at: RawBuilder<unknown>) => sql`(
  select count(*) from tds_workflows
  where status = 'running' and not (select paused from tds_queue_state)
    and (greatest(updated_at, run_at) < ${at} - ${PATIENCE} or updated_at < ${at} - ${LONGEST_WAIT}))::float8
  as "workflowsWithoutProgress"`;
