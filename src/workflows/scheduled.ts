import { sql } from 'kysely';
import type { Database } from '../db/database.ts';
import type { Workflows } from './registry.ts';
import { startRun, takeTurn } from './start.ts';

/** The workflows that start by the clock, for every connected organization. */
export const SCHEDULED = { syncChanged: 'SyncChanged', reconcile: 'Reconcile' } as const;

/** Longest time between two runs that are started less often because nothing changes, in minutes. */
const SLOWEST_MINUTES = 60;
/** The usual one, which doubles with each run that found nothing. */
const USUAL_MINUTES = 5;

/** `under_way`: the last one has not ended. `already`: another worker was faster. `slowed`: nothing changes, see below. */
export type ScheduledStart = {
  organizationId: string;
  outcome: 'started' | 'under_way' | 'already' | 'slowed';
  id?: string;
};

/**
 * Starts a workflow by the clock for each organization, once in a minute whichever worker asks. Where the day's quota
 * of calls is short (`isShort`) and the last runs found nothing, it is started less often: after one such run every 10
 * minutes, then 20, 40, at last 60.
 */
export async function startScheduled(
  db: Database,
  workflows: Workflows,
  name: string,
  isShort: (organizationId: string) => boolean = () => false,
): Promise<ScheduledStart[]> {
  if (!workflows.find(name)) return [];
  const starts: ScheduledStart[] = [];
  for (const organizationId of workflows.organizations ?? [])
    starts.push(await startFor(db, name, organizationId, isShort(organizationId)));
  return starts;
}

async function startFor(db: Database, name: string, organizationId: string, slow: boolean): Promise<ScheduledStart> {
  return db.transaction().execute(async (trx) => {
    await takeTurn(trx, name, organizationId);
    const { already, slowed } = await lastRuns(trx, name, organizationId);
    if (already) return { organizationId, outcome: 'already' };
    if (slow && slowed) return { organizationId, outcome: 'slowed' };
    const payload = { organization_id: organizationId };
    const start = await startRun(trx, { definition: { name }, organizationId, payload }, 'schedule');
    if (start.outcome === 'conflict') return { organizationId, outcome: 'under_way' };
    return { organizationId, outcome: 'started', id: start.id };
  });
}

/** `already`: one was started in this minute. `slowed`: since the last run less time has passed than an idle one gets. */
async function lastRuns(trx: Database, name: string, organizationId: string) {
  const { rows } = await sql<{ already: boolean; slowed: boolean }>`
    with latest as (
      select created_at, status = 'completed' and (progress ->> 'records')::int = 0 as idle,
        row_number() over (order by created_at desc) as place
      from tds_workflows where name = ${name} and organization_id = ${organizationId}
      order by created_at desc limit 5),
    idle as (
      select coalesce(min(place) filter (where not idle), count(*) + 1) - 1 as runs, max(created_at) as last from latest)
    select coalesce(last >= date_trunc('minute', clock_timestamp()), false) as already,
      coalesce(runs > 0 and clock_timestamp() - last
        < least(${SLOWEST_MINUTES}, ${USUAL_MINUTES} * 2 ^ runs) * interval '1 minute', false) as slowed
    from idle`.execute(trx);
  return rows[0] ?? { already: false, slowed: false };
}
