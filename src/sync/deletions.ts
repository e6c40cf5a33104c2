/** Records that the mirror holds and Zoho's list has not shown: asked for one by one, and deleted when they are gone. */
import { type Kysely, sql, type Transaction } from 'kysely';
import type { Schema } from '../db/schema.ts';
import { fetchTodo } from './fetch-todo.ts';
import { needsApproval } from './guard.ts';
import { type Part, storePage } from './pages.ts';
import type { Scan } from './scan.ts';
import type { Scope } from './scope.ts';

export type Deletions = {
  /** Deletions that wait for an operator's approval. */
  withheld: number;
  problems: string[];
};

/**
 * Confirms deletions by a GET of each record and applies them; records that exist after all count as seen. Too many at
 * once are withheld, without asking Zoho for each, unless `approvedRun` has withheld them before.
 */
export async function applyDeletions(
  scope: Scope,
  scan: Scan,
  startedAt: Date,
  approvedRun: string | null,
): Promise<Deletions> {
  const { run, module, part } = scope;
  const page = scan.pages + 1;
  const { withheld, asked } = await run.activity(`${module.name} deletions`, {
    fetch: async () => null,
    async write(trx) {
      const candidates = await notSeen(trx, part, startedAt);
      const approved = await withheldBy(trx, part, approvedRun);
      const fresh = candidates.filter((id) => !approved.has(id));
      const withhold = needsApproval(fresh.length, await countLive(trx, part));
      if (withhold) await withholdDeletions(trx, part, fresh);
      const todo = withhold ? candidates.filter((id) => approved.has(id)) : candidates;
      await storePage(trx, part, { page, ids: [], todo: todo.map((id) => ({ id, hash: null })) });
      return { withheld: withhold ? fresh.length : 0, asked: todo.length };
    },
  });
  if (withheld > 0) run.log.error({ module: module.name, withheld_deletions: withheld }, 'deletions withheld');
  if (asked === 0) return { withheld, problems: [] };
  const { refused, why } = await fetchTodo(scope, page, 'what no page has shown', { deletes: true });
  return { withheld, problems: why === null ? [] : [`${refused} deletions cannot be confirmed: ${why}`] };
}

/**
 * Live rows of the mirror, older than the scan, that it has not shown, or shown although they do not exist; and what the
 * run itself has sent there before the list ceased to show it.
 */
async function notSeen(
  db: Kysely<Schema>,
  { runId, organizationId, module }: Part,
  startedAt: Date,
): Promise<string[]> {
  const { rows } = await sql<{ id: string }>`
    with pages as materialized (select ids, gone from tds_pull_pages where run_id = ${runId} and module = ${module}),
    seen as materialized (
      select unnest(ids) as id from pages except select unnest(gone) from pages)
    select entity_id as id from books_records
    where module = ${module} and organization_id = ${organizationId} and deleted_at is null
      and received_at < ${startedAt} and not exists (select from seen where seen.id = entity_id)
    union
    select entity_id from tds_pulled_changes
    where run_id = ${runId} and module = ${module} and not exists (select from seen where seen.id = entity_id)
    order by id`.execute(db);
  return rows.map(({ id }) => id);
}

async function countLive(db: Kysely<Schema>, { organizationId, module }: Part): Promise<number> {
  const { rows } = await sql<{ live: number }>`
    select count(*)::int as live from books_records
    where module = ${module} and organization_id = ${organizationId} and deleted_at is null`.execute(db);
  return rows[0]?.live ?? 0;
}

async function withheldBy(db: Kysely<Schema>, { module }: Part, runId: string | null): Promise<Set<string>> {
  if (runId === null) return new Set();
  const rows = await db
    .selectFrom('tds_withheld_deletions')
    .select('ids')
    .where('run_id', '=', runId)
    .where('module', '=', module)
    .execute();
  return new Set(rows.flatMap(({ ids }) => ids));
}

async function withholdDeletions(trx: Transaction<Schema>, part: Part, ids: readonly string[]): Promise<void> {
  const { runId, organizationId, module } = part;
  const records = await countLive(trx, part);
  await trx
    .insertInto('tds_withheld_deletions')
    .values({ run_id: runId, organization_id: organizationId, module, ids: [...ids], records })
    .execute();
}
