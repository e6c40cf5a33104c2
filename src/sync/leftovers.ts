/** Why a module still differs when everything that the run sent has arrived: what an operator has to know of it. */
import { type Kysely, sql } from 'kysely';
import type { Schema } from '../db/schema.ts';
import type { Part } from './pages.ts';

type Left = { stale: number; incomplete: number; dead: number };

/** Sentences about the mirror's rows that are not as Zoho has them; none when no cause of this kind is left. */
export async function describeLeftovers(db: Kysely<Schema>, part: Part): Promise<string[]> {
  const { stale, incomplete, dead } = await countLeft(db, part);
  const { module } = part;
  const again = 'the next run fetches them';
  return [
    ...(stale > 0 ? [`Webhooks told parts of newer versions of ${stale} records of ${module}: ${again}.`] : []),
    ...(incomplete > 0 ? [`Only parts of ${incomplete} records of ${module} are known: ${again}.`] : []),
    ...(dead > 0 ? [`${dead} events of ${module} that carry what differs are dead letters: retry them.`] : []),
  ];
}

/** An event may have ended as a dead letter in an earlier run: it is not sent again, and its record differs since. */
async function countLeft(db: Kysely<Schema>, { runId, organizationId, module }: Part): Promise<Left> {
  const { rows } = await sql<Left>`
    with carriers as (
      select event_id from tds_pull_rows
      where module = ${module} and organization_id = ${organizationId} and event_id is not null
      union
      select event_id from tds_pulled_changes where run_id = ${runId} and module = ${module})
    select count(*) filter (where complete)::int as stale, count(*) filter (where not complete)::int as incomplete,
      (select count(*)::int from carriers join tds_sync_queue q on q.id = event_id where q.status = 'dead_letter') as dead
    from books_records
    where module = ${module} and organization_id = ${organizationId} and deleted_at is null
      and (stale_since is not null or not complete)`.execute(db);
  return rows[0] ?? { stale: 0, incomplete: 0, dead: 0 };
}
