/** The pages a run has read, in the database: a run that resumes knows what it has seen and what it still has to fetch. */
import { type Kysely, sql, type Transaction } from 'kysely';
import type { Schema } from '../db/schema.ts';

/** A module's part of a run. */
export type Part = { runId: string; organizationId: string; module: string };

/** A row whose record is still to be fetched; without a hash it is an id that no list has shown. */
export type Todo = { id: string; hash: string | null };

/** Stores a page: which ids it holds, and which of them have to be fetched. A page that is read again is what it is now. */
export async function storePage(
  trx: Transaction<Schema>,
  { runId, module }: Part,
  page: { page: number; ids: readonly string[]; todo: readonly Todo[] },
): Promise<void> {
  await sql`
    insert into tds_pull_pages (run_id, module, page, ids, todo)
    values (${runId}, ${module}, ${page.page}, ${page.ids}::text[], ${JSON.stringify(page.todo)}::json)
    on conflict (run_id, module, page) do update set ids = excluded.ids, todo = excluded.todo`.execute(trx);
}

/** What is still to be fetched of a page. */
export async function todoOf(db: Kysely<Schema>, { runId, module }: Part, page: number): Promise<Todo[]> {
  const row = await db
    .selectFrom('tds_pull_pages')
    .select('todo')
    .where('run_id', '=', runId)
    .where('module', '=', module)
    .where('page', '=', page)
    .executeTakeFirstOrThrow();
  return row.todo as Todo[];
}

/** Notes what has been fetched of a page: `left` is to come, `gone` does not exist, `found` exists though no list showed it. */
export async function noteFetched(
  trx: Transaction<Schema>,
  { runId, module }: Part,
  page: number,
  fetched: { left: readonly Todo[]; gone: readonly string[]; found: readonly string[] },
): Promise<void> {
  await sql`
    update tds_pull_pages set todo = ${JSON.stringify(fetched.left)}::json, gone = gone || ${fetched.gone}::text[],
      ids = ids || ${fetched.found}::text[]
    where run_id = ${runId} and module = ${module} and page = ${page}`.execute(trx);
}

/** How many different records the run's pages have held. */
export async function countSeen(db: Kysely<Schema>, { runId, module }: Part): Promise<number> {
  const { rows } = await sql<{ seen: number }>`
    select count(distinct id)::int as seen from tds_pull_pages cross join unnest(ids) as id
    where run_id = ${runId} and module = ${module}`.execute(db);
  return rows[0]?.seen ?? 0;
}

/** Forgets the pages of a run that has ended. */
export async function forgetPages(trx: Transaction<Schema>, runId: string): Promise<void> {
  await trx.deleteFrom('tds_pull_pages').where('run_id', '=', runId).execute();
}
