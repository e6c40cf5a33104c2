import { type Kysely, sql, type Transaction } from 'kysely';
import type { Schema } from '../../db/schema.ts';

/** Parses a delivery again that was not understood; the queue does not know how. */
export type ParseAgain = (trx: Transaction<Schema>, id: string) => Promise<void>;

/** Lower runs first: whatever arrives now goes before what is retried in bulk. Order within an entity is by arrival. */
const BULK_PRIORITY = 100;
/** The first one, then ten more; the rest follows only when these went well. */
const CANARIES = [1, 11];
/** The share of failures is that among the last so many. */
const WINDOW = 100;
/** What a call may release of the rate at most, so that nothing bursts after a pause or a crash. */
const MAX_SECONDS = 1;
/** So many seconds' worth may be in the queue at once: failures must be seen before much more follows. */
const SECONDS_IN_QUEUE = 10;

/**
 * Takes every run a step further: notes how its events ended, stops it when too many failed, releases what its stage
 * and its rate allow. Call it about once a second, from any number of processes: each run is in one hand at a time, and
 * a step is one transaction, so a process that dies leaves the run where it was.
 */
export async function advanceRetryRuns(db: Kysely<Schema>, parseAgain: ParseAgain): Promise<void> {
  const { rows } = await sql<{ id: string }>`
    select id from tds_retry_runs r where status = 'running'
      or exists (select from tds_retry_run_events e where e.run_id = r.id and e.state = 'retried')`.execute(db);
  for (const { id } of rows) await db.transaction().execute((trx) => step(trx, id, parseAgain));
}

type Run = { status: string; rate: number; max_failure_percent: number; seconds: number };

async function step(trx: Transaction<Schema>, id: string, parseAgain: ParseAgain): Promise<void> {
  const run = await lock(trx, id);
  if (!run) return;
  await noteEnds(trx, id);
  if (run.status !== 'running') return;
  const progress = await readProgress(trx, id);
  if (progress.waiting === 0 && progress.retried === 0) return end(trx, id, 'completed', null);
  const failures = tooManyFailures(progress, run);
  if (failures) return end(trx, id, 'stopped', failures);
  await releaseNext(trx, id, allowance(progress, run), parseAgain);
}

async function lock(trx: Transaction<Schema>, id: string): Promise<Run | undefined> {
  const { rows } = await sql<Run>`
    select status, rate_per_second as rate, max_failure_percent,
      least(extract(epoch from now() - allowance_at), ${MAX_SECONDS})::float8 as seconds
    from tds_retry_runs where id = ${id} for update skip locked`.execute(trx);
  return rows[0];
}

/** An event that died again has failed for this run, whoever retries it next: a run never retries its own failures. */
async function noteEnds(trx: Transaction<Schema>, id: string): Promise<void> {
  await sql`
    update tds_retry_run_events e set ended_at = now(),
      state = case q.status when 'completed' then 'completed' when 'dead_letter' then 'failed' else 'skipped' end
    from tds_retry_run_events f left join tds_sync_queue q on q.id = f.event_id
    where f.run_id = ${id} and f.state = 'retried' and e.run_id = f.run_id and e.event_id = f.event_id
      and (q.id is null or q.status in ('completed', 'dead_letter'))`.execute(trx);
}

/** `waiting`: 1 when any is. `ended`, and `failed` of these: of the last WINDOW. */
type Progress = { waiting: number; retried: number; ended: number; failed: number };

/** By index: counts no further than it matters. */
async function readProgress(trx: Transaction<Schema>, id: string): Promise<Progress> {
  const { rows } = await sql<Progress>`
    with recent as (
      select state from tds_retry_run_events where run_id = ${id} and state in ('completed', 'failed')
      order by ended_at desc limit ${WINDOW})
    select (select count(*) from (select from tds_retry_run_events where run_id = ${id} and state = 'waiting' limit 1) w)::int
        as waiting,
      (select count(*) from tds_retry_run_events where run_id = ${id} and state = 'retried')::int as retried,
      count(*)::int as ended, (count(*) filter (where state = 'failed'))::int as failed
    from recent`.execute(trx);
  return rows[0] as Progress;
}

/** A canary is judged when all of it has ended; what follows at any time. */
function tooManyFailures({ retried, ended, failed }: Progress, run: Run): string | undefined {
  const isCanary = ended <= (CANARIES.at(-1) ?? 0);
  if (ended === 0 || (isCanary && retried > 0)) return undefined;
  if ((failed / ended) * 100 <= run.max_failure_percent) return undefined;
  return `${failed} of the last ${ended} failed again, and ${run.max_failure_percent} % may`;
}

function allowance({ retried, ended }: Progress, { rate, seconds }: Run): number {
  const canary = CANARIES.find((size) => ended < size);
  if (canary !== undefined) return Math.max(0, canary - ended - retried);
  return Math.max(0, Math.min(Math.floor(rate * seconds), rate * SECONDS_IN_QUEUE - retried));
}

async function releaseNext(trx: Transaction<Schema>, id: string, count: number, parseAgain: ParseAgain): Promise<void> {
  if (count === 0) return;
  const ids = await nextWaiting(trx, id, count);
  for (const quarantined of await notUnderstood(trx, ids)) await parseAgain(trx, quarantined);
  const retried = await retryAll(trx, ids);
  await sql`
    update tds_retry_run_events set state = case when event_id = any (${retried}::uuid[]) then 'retried' else 'skipped' end,
      ended_at = case when event_id = any (${retried}::uuid[]) then null else now() end
    where run_id = ${id} and event_id = any (${ids}::uuid[])`.execute(trx);
  await sql`update tds_retry_runs set allowance_at = now() where id = ${id}`.execute(trx);
}

async function nextWaiting(trx: Transaction<Schema>, id: string, count: number): Promise<string[]> {
  const query = trx.selectFrom('tds_retry_run_events').select('event_id').where('run_id', '=', id);
  const rows = await query.where('state', '=', 'waiting').orderBy('place').limit(count).execute();
  return rows.map((row) => row.event_id);
}

async function notUnderstood(trx: Transaction<Schema>, ids: string[]): Promise<string[]> {
  const letters = trx
    .selectFrom('tds_dead_letter_queue')
    .select('id')
    .where('id', '=', sql<string>`any (${ids}::uuid[])`);
  return (await letters.where('kind', '=', 'quarantined').execute()).map((row) => row.id);
}

/** As retryDeadLetter, for many. What somebody holds or has retried meanwhile is left to them. */
async function retryAll(trx: Transaction<Schema>, ids: string[]): Promise<string[]> {
  // Locked by a statement of its own: the next one sees whatever happened before the locks were ours.
  const { rows: locked } = await sql<{ id: string }>`
    select id from tds_sync_queue where id = any (${ids}::uuid[]) and status || '' = 'dead_letter'
    order by id for update skip locked`.execute(trx);
  const { rows } = await sql<{ id: string }>`
    update tds_sync_queue q set status = 'pending', attempt_count = 0, release_count = 0, suspect = false, run_at = now(),
      priority = greatest(priority, ${BULK_PRIORITY}), started_at = null, outcome = null, error_tag = null,
      error_message = null
    where id = any (${locked.map(({ id }) => id)}::uuid[]) and not exists (
      select from tds_dead_letter_queue d where d.id = q.id and d.quarantined_by is not null)
    returning id, pg_notify('tds_queue', '')`.execute(trx);
  return rows.map((row) => row.id);
}

async function end(trx: Transaction<Schema>, id: string, status: 'completed' | 'stopped', reason: string | null) {
  const ended = { status, status_reason: reason, ended_at: sql<Date>`now()` };
  await trx.updateTable('tds_retry_runs').set(ended).where('id', '=', id).execute();
}
