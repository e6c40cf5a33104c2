import { type RawBuilder, sql } from 'kysely';
import type { Database } from '../../db/database.ts';
import type { ErrorTag } from '../../errors.ts';
import type { WorkflowFacts } from './workflow-rules.ts';

/** A run that is due or in hand should finish an activity in this time. */
const PATIENCE = sql`interval '15 minutes'`;
/** Even one that waits for something which it says: a day's quota is back after a day. */
const LONGEST_WAIT = sql`interval '26 hours'`;

/**
 * What the rules about workflows look at. A failed run counts until it is retried or terminated, or a later run of its
 * name and organization has completed; of several that failed in a row the last one counts.
 */
export async function readWorkflowFacts(db: Database): Promise<WorkflowFacts> {
  const { rows } = await sql<WorkflowFacts>`
    with failed as (
      select result ->> 'tag' as tag from tds_workflows w
      where status = 'failed' and not exists (
        select from tds_workflows later where later.name = w.name and later.organization_id = w.organization_id
          and later.created_at > w.created_at and later.status in ('completed', 'failed')))
    select ${sql.join([...failedCounts, withoutProgress])}`.execute(db);
  return rows[0] as WorkflowFacts;
}

const TAGS: readonly ErrorTag[] = [
  ...(['ValidationError', 'ConflictError', 'UnknownError', 'ProcessCrash', 'InternalServerError'] as const),
  ...(['ServiceUnavailableError', 'TimeoutError', 'NetworkError', 'RateLimitError'] as const),
];

const failedCounts = TAGS.map((tag) => sql`(select count(*) from failed where tag = ${tag})::float8 as ${name(tag)}`);

function name(tag: ErrorTag): RawBuilder<unknown> {
  return sql.id(`failed${tag}`);
}

// What nobody may process has no progress to make. A run whose hand typed no tag counts in no rule.
const withoutProgress = sql`(
  select count(*) from tds_workflows
  where status = 'running' and not (select paused from tds_queue_state)
    and (greatest(updated_at, run_at) < now() - ${PATIENCE} or updated_at < now() - ${LONGEST_WAIT}))::float8
  as "workflowsWithoutProgress"`;
