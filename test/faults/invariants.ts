/** What must hold after every fault, however the fault went. Each function throws with figures when it does not. */
import assert from 'node:assert/strict';
import { disagreements } from '../queue/agreement.ts';
import type { Child, Usage } from './child.ts';
import { LEASE_SECONDS, type World } from './world.ts';

/** The tally of a database after a fault: the columns of the table that a run prints. */
export type Tally = {
  acknowledged: number;
  done: number;
  dead: number;
  quarantined: number;
  lost: number;
  twice: number;
};

/** All that can be checked without knowing the fault. */
export async function checkInvariants(world: World): Promise<Tally> {
  const tally = await takeTally(world);
  await acknowledgedIsKept(world);
  await exactlyOneEffect(world);
  await oneTerminalState(world);
  await atMostThreeAttempts(world);
  await noForgottenLease(world);
  await entityOrderKept(world);
  await actsAreAudited(world);
  await backlogIsGone(world);
  await derivedTablesAgree(world);
  return tally;
}

/** I1: whatever was answered 202 is done, dead or quarantined, under the id that was told. */
async function acknowledgedIsKept(world: World): Promise<void> {
  const ids = world.sender.acknowledged.flatMap((entry) => [...entry.eventIds]);
  const { rows } = await world.db.query(
    `select id from unnest($1::uuid[]) as ids (id) where not exists (
       select from tds_sync_queue q where q.id = ids.id and q.status in ('completed', 'dead_letter'))`,
    [ids],
  );
  assert.equal(rows.length, 0, `I1: ${rows.length} of ${ids.length} acknowledged events are lost`);
}

/** I2: every done event has one effect, nobody else has any, and a delivery sent again is the same event. */
async function exactlyOneEffect(world: World): Promise<void> {
  const twice = await world.number(
    'select count(*) from (select from fault_log group by effect_key having count(*) > 1) t',
  );
  assert.equal(twice, 0, `I2: ${twice} effects were applied more than once`);
  const twins = world.sender.acknowledged.filter((entry) => entry.eventIds.size > 1).length;
  assert.equal(twins, 0, `I2: ${twins} deliveries became more than one event`);
  const { rows } = await world.db.query(`
    select q.id, q.status, count(l.event_id)::int as effects
    from tds_sync_queue q left join fault_log l on l.event_id = q.id
    where q.event_type ~ '^(invoice|expense)' group by q.id
    having count(l.event_id) <> (case when q.status = 'completed' then 1 else 0 end)`);
  assert.deepEqual(rows, [], 'I2: a done event has exactly one effect, an unfinished one has none');
}

/** I3: an event ends once; log, inbox and dead letters tell the same story as its status. */
async function oneTerminalState(world: World): Promise<void> {
  const { rows } = await world.db.query(`
    select q.id, q.status, i.processed,
      (select count(*)::int from tds_sync_logs l where l.queue_id = q.id and l.status = 'completed') as completions,
      (select count(*)::int from tds_sync_logs l where l.queue_id = q.id and l.status = 'dead_letter') as deaths,
      coalesce((select retry_count from tds_dead_letter_queue d where d.id = q.id), 0) as retries,
      (select count(*)::int from tds_dead_letter_queue d where d.id = q.id and d.resolved_at is null) as open
    from tds_sync_queue q join tds_inbox_events i on i.event_id = q.id`);
  const wrong = rows.filter(({ status, processed, completions, deaths, retries, open }) => {
    if (status === 'completed') return !(processed && completions === 1 && deaths === retries && open === 0);
    if (status === 'dead_letter') return completions > 0 || open !== 1;
    return false;
  });
  assert.deepEqual(wrong, [], 'I3: no event has two ends');
}

/** I4: never more than three attempts are charged, as the event and as the log say it; an operator's retry begins anew. */
async function atMostThreeAttempts(world: World): Promise<void> {
  const most = await world.number('select coalesce(max(attempt_count), 0) from tds_sync_queue');
  assert.ok(most <= 3, `I4: an event was charged ${most} attempts`);
  const { rows } = await world.db.query(`
    select l.queue_id, count(*)::int as attempts, coalesce(min(d.retry_count), 0) as retries
    from tds_sync_logs l left join tds_dead_letter_queue d on d.id = l.queue_id where l.status <> 'released'
    group by l.queue_id having count(*) > 3 * (1 + coalesce(min(d.retry_count), 0))`);
  assert.deepEqual(rows, [], 'I4: the log shows no more attempts than three');
}

/** I5: nobody holds an event whose lease ran out longer ago than rescue may take. */
async function noForgottenLease(world: World): Promise<void> {
  const forgotten = await world.number(
    `select count(*) from tds_sync_queue where status = 'processing'
     and started_at < now() - $1 * interval '1 second'`,
    [2 * LEASE_SECONDS + 2],
  );
  assert.equal(forgotten, 0, `I5: ${forgotten} events are held by nobody`);
}

/** I7: the effects of one entity happened in the order in which its events arrived; a retried dead letter may be late. */
async function entityOrderKept(world: World): Promise<void> {
  const { rows } = await world.db.query(`
    select * from (
      select q.entity_key, q.arrival, lag(q.arrival) over (partition by q.entity_key order by l.seq) as before
      from fault_log l join tds_sync_queue q on q.id = l.event_id
      where not exists (select from tds_dead_letter_queue d where d.id = q.id)) t
    where before > arrival`);
  assert.deepEqual(rows, [], 'I7: events of one entity ran in order of arrival');
}

/** I8: accepted acts of operators and lines of the audit log are the same number. */
async function actsAreAudited(world: World): Promise<void> {
  const audited = await world.number(`select count(*) from tds_audit_log where result in ('retried', 'done')`);
  const most = world.operatorActs + world.unansweredActs;
  const isRight = audited >= world.operatorActs && audited <= most;
  assert.ok(isRight, `I8: ${audited} acts in the audit log, ${world.operatorActs} accepted, ${most} sent`);
}

/** I10: nothing waits any more, and nobody had to do anything for that. */
async function backlogIsGone(world: World): Promise<void> {
  const left = await backlog(world);
  assert.equal(left, 0, `I10: ${left} events are still waiting`);
}

/** The tables kept by triggers agree with the queue: counts, waiting events, claims, leases, dead letters, totals. */
async function derivedTablesAgree(world: World): Promise<void> {
  assert.deepEqual(await disagreements(world.db), [], 'I12: what follows from the queue agrees with it');
  const { rows } = await world.db.query('select * from tds_rebuild()');
  assert.deepEqual(rows, [], 'I12: there is nothing to put right');
}

/**
 * I11: memory and descriptors of processes that lived through the fault are back to where they were, within 10 %, what
 * a pool keeps open for a while, and what a young process still grows by itself.
 */
export function usageIsBack(before: Map<Child, Usage>): void {
  const SLACK = { fds: 25, rss: 64 << 20 };
  for (const [child, { rss, fds }] of before) {
    if (!child.running) continue;
    const now = child.usage();
    assert.ok(now.fds <= fds * 1.1 + SLACK.fds, `I11: ${fds} descriptors of ${child.name} became ${now.fds}`);
    assert.ok(now.rss <= rss * 1.1 + SLACK.rss, `I11: ${rss >> 20} MB of ${child.name} became ${now.rss >> 20} MB`);
  }
}

/** Events that are not at an end, and traces of claims. */
export async function backlog(world: World): Promise<number> {
  return world.number(`
    select (select count(*) from tds_sync_queue where status in ('pending', 'processing', 'retry'))
      + (select count(*) from tds_queue_claims) + (select count(*) from tds_queue_leases)
      + (select count(*) from tds_queue_waiting)`);
}

async function takeTally(world: World): Promise<Tally> {
  const ids = world.sender.acknowledged.flatMap((entry) => [...entry.eventIds]);
  const { rows } = await world.db.query(
    `select count(*) filter (where status = 'completed')::int as done,
       count(*) filter (where status = 'dead_letter' and quarantine_reason is null)::int as dead,
       count(*) filter (where quarantine_reason is not null)::int as quarantined,
       (select count(*)::int from unnest($1::uuid[]) as ids (id)
        where not exists (select from tds_sync_queue q where q.id = ids.id)) as lost,
       (select count(*)::int from (select from fault_log group by effect_key having count(*) > 1) t) as twice
     from tds_sync_queue q join tds_inbox_events i on i.event_id = q.id`,
    [ids],
  );
  return { acknowledged: world.sender.acknowledged.length, ...rows[0] };
}
