/** The roll-ups against every row of the tables, after random histories in which folds crash and people type SQL. */
import fc from 'fast-check';
import type { PoolClient } from 'pg';
import t from 'tap';
import { checkMetrics, foldMetrics } from '../../../src/monitor/roll-ups/fold.ts';
import { purge } from '../../../src/queue/purge.ts';
import type { Outcome } from '../../../src/queue/vocabulary.ts';
import { testDatabase } from '../../helper.ts';
import { arrive, Claimer, RELEASED, registerWorker, SUCCESS } from '../../queue/engine.ts';
import { addedUp, type Cells, expected, sorted, told } from './reference.ts';

const RUNS = Number(process.env.MODEL_RUNS ?? 25);
const { db, pool } = await testDatabase(t);
const psql = (text: string) => pool.query(text);
const some = (table: string, key: string) =>
  `${key} in (select ${key} from ${table} order by md5(${key}::text) limit 2)`;
const FAILED: Outcome = { kind: 'failed', tag: 'TimeoutError', message: 'slow', permanent: false };
const REFUSED: Outcome = { kind: 'failed', tag: 'ValidationError', message: 'bad', permanent: true };

/** So many hours ago, up to two days: within what follows the tables. */
const ago = fc.integer({ min: 0, max: 47 });
const few = fc.integer({ min: 1, max: 4 });
const hoursAgo = (hours: number) => new Date(Date.now() - hours * 3_600_000);

type Act = { what: string; run: () => Promise<unknown> };
const act = (what: string, run: () => Promise<unknown>): Act => ({ what, run });

/** A fold of which nothing is left: its process dies before COMMIT. */
async function crashedFold(): Promise<void> {
  const client: PoolClient = await pool.connect();
  client.on('error', () => {});
  await client.query('begin');
  await client.query('select tds_metrics_fold()');
  const { rows } = await client.query('select pg_backend_pid() as pid');
  await psql(`select pg_terminate_backend(${rows[0].pid})`);
  client.release(true);
}

async function work(limit: number, outcome: Outcome): Promise<void> {
  const claimer = new Claimer(pool, await registerWorker(pool));
  const events = await claimer.claim({ limit });
  if (events.length > 0) await claimer.end(events, outcome);
}

const activity = (output: object, at: Date) =>
  pool.query(
    `with run as (
       insert into tds_workflows (name, organization_id, status, payload, result, progress, started_by)
       values ('SyncAll', '10', 'completed', '{}', '{}', '{}', 'ann') returning id)
     insert into tds_workflow_activities (workflow_id, name, position, status, attempt, started_at, completed_at, output)
     select id, 'invoice page 1', 1, 'completed', 1, $2, $2, $1 from run`,
    [JSON.stringify(output), at],
  );

const types = fc.constantFrom('invoice.updated', 'contact.created');
const organizations = fc.constantFrom('10', '20');
const sources = fc.constantFrom('webhook' as const, 'pull' as const);

const ACTS: fc.Arbitrary<Act>[] = [
  fc.tuple(few, types, organizations, sources, ago).map(([n, eventType, organizationId, source, hours]) =>
    act(`${n} of ${eventType} arrive by ${source}, ${hours} h late`, () =>
      arrive(
        pool,
        Array.from({ length: n }, (_, i) => `${i}`),
        {
          ...{ eventType, organizationId, source, receivedAt: hoursAgo(hours) },
        },
      ),
    ),
  ),
  fc
    .tuple(few, fc.constantFrom(SUCCESS, FAILED, REFUSED, RELEASED))
    .map(([n, outcome]) => act(`${n} events end: ${outcome.kind}`, () => work(n, outcome))),
  fc.tuple(ago, fc.double({ min: 0, max: 90_000, noNaN: true }), fc.boolean()).map(([hours, ms, unknown]) =>
    act(`a log row of ${ms} ms is typed`, () =>
      pool.query(
        `insert into tds_sync_logs (queue_id, created_at, duration_ms, waited_ms, attempt, status)
         select coalesce((select event_id from tds_inbox_events where not $4 order by event_id limit 1), gen_random_uuid()),
           $1, round($2::numeric, 3), round($3::numeric, 3), 1, 'completed'`,
        [hoursAgo(hours), ms, ms * 20, unknown],
      ),
    ),
  ),
  fc.tuple(few, ago).map(([n, hours]) =>
    act(`${n} deliveries are rejected`, () =>
      pool.query(
        `insert into tds_webhook_rejections as r (hour, cause, path, rejections, first_at, last_at)
         values (date_trunc('hour', $2::timestamptz, 'UTC'), 'no_signature', '/', $1, $2, $2)
         on conflict (hour, cause, path) do update set rejections = r.rejections + excluded.rejections`,
        [n, hoursAgo(hours)],
      ),
    ),
  ),
  fc
    .tuple(ago, fc.constantFrom({ reached: false, refusal: null }, { fetched: 7 }, { other: 1 }))
    .map(([hours, output]) =>
      act(`an activity ends with ${JSON.stringify(output)}`, () => activity(output, hoursAgo(hours))),
    ),
  ...[
    act('fold', () => foldMetrics(db)),
    act('a fold crashes', crashedFold),
    act('two folds at once', () => Promise.all([foldMetrics(db), foldMetrics(db)])),
    act('a recount', () => psql('select tds_metrics_recount(tds_metrics_since())')),
    act('logs are deleted', () => psql(`delete from tds_sync_logs where ${some('tds_sync_logs', 'queue_id')}`)),
    act('logs are altered', () =>
      psql(`update tds_sync_logs set status = 'retry', duration_ms = 123.4, created_at = created_at - interval '1 hour'
        where ${some('tds_sync_logs', 'queue_id')}`),
    ),
    act('inbox rows are deleted', () =>
      psql(`delete from tds_inbox_events where ${some('tds_inbox_events', 'event_id')}`),
    ),
    act('inbox rows are altered', () =>
      psql(`update tds_inbox_events set event_type = 'bill.created', received_at = received_at - interval '1 hour'
        where ${some('tds_inbox_events', 'event_id')}`),
    ),
    act('queue rows are deleted', () => psql(`delete from tds_sync_queue where ${some('tds_sync_queue', 'id')}`)),
    act('rejections are deleted', () =>
      psql(`delete from tds_webhook_rejections where ${some('tds_webhook_rejections', 'id')}`),
    ),
    act('a run is deleted', () => psql(`delete from tds_workflows where ${some('tds_workflows', 'id')}`)),
    act('activities are deleted', () =>
      psql(`delete from tds_workflow_activities where ${some('tds_workflow_activities', 'workflow_id')}`),
    ),
    act('the logs are truncated', () => psql('truncate tds_sync_logs')),
    act('a transaction is undone', async () => {
      await psql(`do $$ begin
        insert into tds_inbox_events (event_id, organization_id, event_type) values (gen_random_uuid(), '10', 'a.b');
        raise exception 'undone'; end $$`).catch(() => {});
    }),
  ].map(fc.constant),
];

const TABLES = `tds_sync_queue, tds_inbox_events, tds_inbox_payloads, tds_sync_logs, tds_dead_letter_queue, tds_failures,
  tds_webhook_rejections, tds_workflows, tds_metrics_periods, tds_metrics_changes`;

async function compare(
  t: { strictSame(a: unknown, b: unknown, message: string): unknown },
  hours: Cells,
  what: string,
): Promise<boolean> {
  const wrong = { hour: hours, day: addedUp(hours, 'day'), week: addedUp(hours, 'week') };
  for (const [period, cells] of Object.entries(wrong)) {
    const is = sorted(await told(pool, period));
    if (JSON.stringify(is) === JSON.stringify(sorted(cells))) continue;
    t.strictSame(is, sorted(cells), `${period}: ${what}`);
    return false;
  }
  return true;
}

t.test('roll-ups equal what the tables say after a random history', async (t) => {
  let steps = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(fc.oneof(...ACTS), { minLength: 5, maxLength: 25 }), async (acts) => {
      await psql(`truncate ${TABLES} cascade`);
      await psql(`update tds_metrics_state set frozen_until = '-infinity'`);
      for (const { run } of acts) {
        await run();
        steps += 1;
      }
      const names = acts.map(({ what }) => what).join('; ');
      const right = await compare(t, await expected(pool), names);
      return right && (await checkMetrics(pool)) === 0;
    }),
    { numRuns: RUNS },
  );
  t.ok(steps > 0, `${steps} steps`);
});

t.test('what a purge deletes stays in the roll-ups, and late rows of that time are added', async (t) => {
  await psql(`truncate ${TABLES} cascade`);
  await arrive(pool, ['a', 'b'], { receivedAt: hoursAgo(47) });
  await work(2, SUCCESS);
  await activity({ fetched: 7 }, hoursAgo(47));
  await psql(
    `update tds_sync_queue set queued_at = now() - interval '47 hours', completed_at = now() - interval '46 hours'`,
  );
  await psql(`update tds_sync_logs set created_at = now() - interval '46 hours'`);
  await psql(
    `update tds_inbox_events set received_at = now() - interval '47 hours', processed_at = now() - interval '46 hours'`,
  );
  const before = await expected(pool);
  t.ok(await compare(t, before, 'before'));

  t.match(await purge(pool, 1), { events: 2, logs: 2 });
  await psql('delete from tds_inbox_events');
  await psql('delete from tds_workflows');
  t.ok(await compare(t, before, 'nothing is taken back'));
  t.equal(await checkMetrics(pool), 0, 'and that is no drift');
  t.notMatch((await psql('select * from tds_rebuild()')).rows, [{ what: /roll-ups/ }]);
  t.ok(await compare(t, before, 'nor does a rebuild take it back'));

  await arrive(pool, ['c'], { receivedAt: hoursAgo(47) });
  const [[key, cell] = ['', undefined]] = [...before].filter(([, one]) => one.received > 0);
  t.equal(sorted(await told(pool, 'hour'))[key]?.received, (cell?.received ?? 0) + 1, 'a late row counts in its hour');
});

t.test('a check finds what was written past the triggers, and a rebuild mends it', async (t) => {
  await psql(`truncate ${TABLES} cascade`);
  await psql(`update tds_metrics_state set frozen_until = '-infinity'`);
  await arrive(pool, ['a', 'b']);
  await work(2, SUCCESS);
  await foldMetrics(db);
  await psql('update tds_metrics_periods set completed = completed + 1');
  await psql(`insert into tds_metrics_changes (hour, organization_id, source, event_type, dead)
    values (date_trunc('hour', now(), 'UTC'), '99', 'webhook', 'a.b', 1)`);
  t.equal(await checkMetrics(pool), 2);
  t.match((await psql('select drift, checked_at from tds_metrics_state')).rows, [{ drift: '2', checked_at: Date }]);
  t.strictSame((await psql('select * from tds_rebuild()')).rows, [
    { what: 'roll-ups that differ from the tables', was: '2', is_now: '0' },
  ]);
  t.ok(await compare(t, await expected(pool), 'after the rebuild'));
  t.equal((await psql('select drift from tds_metrics_state')).rows[0].drift, '0');
});
